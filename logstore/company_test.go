package logstore

import (
	"testing"
	"time"
)

// TestCompany: a cycle waits for those that the last one answered, and for
// nobody when waiting does not pay.
func TestCompany(t *testing.T) {
	const sync = 800 * time.Microsecond
	settled := func() *company {
		c := &company{}
		for range 100 {
			c.cycled(1, sync)
		}
		return c
	}
	c := settled()
	if n, _ := c.expect(0); n != 0 {
		t.Errorf("a lone client: waits for %d entries", n)
	}
	if n, _ := c.expect(3); n != 0 {
		t.Errorf("nobody was answered since: waits for %d entries", n)
	}
	c.cycled(3, sync)
	n, d := c.expect(1)
	if n != 4 || d < sync/companyShare*9/10 || d > sync/companyShare {
		t.Errorf("3 answered and 1 waiting: waits for %d entries, %v", n, d)
	}
	for range 200 {
		c.cycled(3, time.Second)
	}
	if _, d := c.expect(1); d != companyLimit {
		t.Errorf("a sync of a second: waits for %v", d)
	}
	waits := func(c *company, cycles, comes int) (n int) {
		for range cycles {
			c.cycled(3, sync)
			if want, _ := c.expect(1); want > 0 {
				n++
				c.came(1, 1+comes, want)
			}
		}
		return n
	}
	if n := waits(settled(), 1000, 0); n == 0 || n > 25 {
		t.Errorf("nobody comes in time: waited in %d of 1000 cycles", n)
	}
	if n := waits(settled(), 1000, 2); n != 1000 {
		t.Errorf("two of three come in time: waited in %d of 1000 cycles", n)
	}
}

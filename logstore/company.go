package logstore

import "time"

// company says whether a cycle waits a moment for more entries before it begins.
//
// Clients that wait for their answers fall apart into two halves: while one
// half's sync runs the other half's requests arrive, so that each waits for the
// rest of one sync and then for its own, and the disk syncs twice as often as it
// had to. Whoever was answered just now sends again soon: if the cycle waits for
// as many entries as the last one answered, at most for half a sync, all are in
// one group.
//
// It is no timer that every append pays: a lone client has nobody to wait for,
// and where the answered do not come back in time (open loops, clients that do
// other things first, busy cores) waiting is given up for longer and longer.
type company struct {
	answered int           // entries of the last cycle
	sync     time.Duration // moving average of what a cycle waits for the disk
	misses   int           // waits that did not pay, in a row
	skip     int           // cycles before the next try
}

const (
	// companyShare: a wait lasts for a sync's time divided by it.
	companyShare = 2
	// companyMisses bounds the cycles between two tries: 1<<companyMisses.
	companyMisses = 6
	// companyLimit bounds a wait where the disk is slow.
	companyLimit = 5 * time.Millisecond
)

// cycled notes a cycle that committed n entries and waited d for the disk.
func (c *company) cycled(n int, d time.Duration) {
	c.answered = n
	c.sync += (d - c.sync) / 8
}

// expect gives how many entries to wait for, with have in the queue, and how
// long; n ≤ have means not to wait.
func (c *company) expect(have int) (n int, d time.Duration) {
	back := c.answered
	c.answered = 0
	if have+back < 2 || back == 0 {
		return 0, 0
	}
	if c.skip > 0 {
		c.skip--
		return 0, 0
	}
	return have + back, min(c.sync/companyShare, companyLimit)
}

// came tells how a wait for want entries went: from had to have.
func (c *company) came(had, have, want int) {
	if 2*(have-had) >= want-had {
		c.misses = 0
		return
	}
	c.misses = min(c.misses+1, companyMisses)
	c.skip = 1 << c.misses
}

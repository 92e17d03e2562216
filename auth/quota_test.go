package auth

import (
	"bufio"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/chronik-stream/chronik/cluster"
)

// entity writes a quota entity as "user=alice client=<default> ip=1.2.3.4".
func entity(s string) (e cluster.QuotaEntity) {
	for _, f := range strings.Fields(s) {
		kind, name, _ := strings.Cut(f, "=")
		part := cluster.QuotaPart{Set: true, Name: name}
		if name == "<default>" {
			part = cluster.QuotaPart{Set: true, Default: true}
		}
		switch kind {
		case "user":
			e.User = part
		case "client":
			e.ClientID = part
		case "ip":
			e.IP = part
		}
	}
	return e
}

func newQuotas(kind Quota, quotas map[string]float64) *Quotas {
	q := NewQuotas(nil, QuotaOptions{})
	q.update(quotaImage(1, kind, quotas))
	return q
}

func quotaImage(version int64, kind Quota, quotas map[string]float64) *cluster.Image {
	image := &cluster.Image{Version: version, QuotasVersion: version, Quotas: map[cluster.QuotaEntity]map[string]float64{}}
	for e, v := range quotas {
		image.Quotas[entity(e)] = map[string]float64{kind.Key(): v}
	}
	return image
}

// TestRateAsKafka replays what Apache Kafka 4.2's Rate and TokenBucket with
// QuotaUtils answered to random sequences (testdata/quota.txt: a case's windows,
// their size in ms and the bound; then time, value, throttle of the rate,
// mutations, whether the bucket took them, throttle of the bucket).
func TestRateAsKafka(t *testing.T) {
	f, err := os.Open("testdata/quota.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var w window
	var bound float64
	var r rate
	var b bucket
	throttled, refused := 0, 0
	for in := bufio.NewScanner(f); in.Scan(); {
		line := in.Text()
		if strings.HasPrefix(line, "case ") {
			r, b = rate{}, bucket{}
			if _, err := fmt.Sscanf(line, "case %d %d %g", &w.num, &w.sizeMs, &bound); err != nil {
				t.Fatal(line, err)
			}
			continue
		}
		var now, wait, mutations, bucketWait int64
		var value float64
		var took bool
		if _, err := fmt.Sscan(line, &now, &value, &wait, &mutations, &took, &bucketWait); err != nil {
			t.Fatal(line, err)
		}
		r.record(w, value, now)
		if got := r.throttle(w, bound, now, math.MaxInt64).Milliseconds(); got != wait {
			t.Fatalf("%q: the rate throttles for %d ms", line, got)
		}
		b.fill(w, bound, now)
		if got := b.throttle(bound, math.MaxInt64).Milliseconds(); got != bucketWait || (b.tokens >= 0) != took {
			t.Fatalf("%q: the bucket holds %v and throttles for %d ms", line, b.tokens, got)
		}
		if took {
			b.tokens -= float64(mutations)
		} else {
			refused++
		}
		if wait > 0 {
			throttled++
		}
	}
	if throttled < 100 || refused < 100 {
		t.Errorf("the file throttles %d times and refuses %d times; is it whole?", throttled, refused)
	}
}

// TestRateEdge: a sample is forgotten when its last value is all windows old,
// to the millisecond.
func TestRateEdge(t *testing.T) {
	w := window{num: 11, sizeMs: 1000}
	for age, want := range map[int64]float64{10_999: 1000, 11_000: 0} {
		var r rate
		r.record(w, 1000, 5)
		perSecond, overMs := r.measure(w, 5+age)
		if sum := perSecond * float64(overMs) / 1000; math.Abs(sum-want) > 1e-6 {
			t.Errorf("after %d ms the sample counts %v", age, sum)
		}
	}
}

func TestQuotaPrecedence(t *testing.T) {
	levels := []string{
		"user=u client=c", "user=u client=<default>", "user=u", "user=<default> client=c", "user=<default> client=<default>",
		"user=<default>", "client=c", "client=<default>",
	}
	shared := []sensorKey{
		{user: "u", client: "c"}, {user: "u", client: "c"}, {user: "u"}, {user: "u", client: "c"}, {user: "u", client: "c"},
		{user: "u"}, {client: "c"}, {client: "c"},
	}
	quotas := map[string]float64{}
	for i := len(levels) - 1; i >= 0; i-- {
		quotas[levels[i]] = float64(i + 1)
		quotas["user=other client=c"], quotas["user=u client=other"] = 99, 98
		key, bound, ok := newQuotas(QuotaProduce, quotas).limits.Load().resolve(QuotaProduce, "u", "c")
		if !ok || bound != float64(i+1) || key != shared[i] {
			t.Errorf("with %s and below: %v by %+v", levels[i], bound, key)
		}
	}
	q := newQuotas(QuotaProduce, quotas)
	for _, tt := range []struct {
		user, client string
		want         float64
	}{{"v", "c", 4}, {"v", "d", 5}, {"u", "d", 2}, {"u", "", 3}, {"v", "", 6}, {"other", "c", 99}, {"u", "other", 98}} {
		if _, bound, _ := q.limits.Load().resolve(QuotaProduce, tt.user, tt.client); bound != tt.want {
			t.Errorf("%s with the client %q has %v, want %v", tt.user, tt.client, bound, tt.want)
		}
	}
	if _, _, ok := q.limits.Load().resolve(QuotaFetch, "u", "c"); ok {
		t.Error("a produce quota holds for fetches")
	}
	only := newQuotas(QuotaProduce, map[string]float64{"user=x": 1, "client=<default>": 2})
	if _, _, ok := only.limits.Load().resolve(QuotaProduce, "u", ""); ok {
		t.Error("a client level holds for a client without an id")
	}
}

func TestQuotaClient(t *testing.T) {
	q := newQuotas(QuotaProduce, map[string]float64{"user=u": 1000, "user=<default> client=<default>": 500})
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	a, b := q.Client("u", "one"), q.Client("u", "two")
	// 11 windows of 1 s: 10 s count at least, so 10,000 bytes are free at once.
	if wait := a.Produce(6000, at(0)); wait != 0 {
		t.Errorf("6000 bytes wait %v", wait)
	}
	if wait := b.Produce(4000, at(0)); wait != 0 {
		t.Errorf("10,000 bytes wait %v", wait)
	}
	// (1100-1000)/1000 × 10 s.
	if wait := a.Produce(1000, at(0)); wait != time.Second {
		t.Errorf("11,000 bytes wait %v", wait)
	}
	// Another user has the default's, a measurement of its own per client.
	c, d := q.Client("v", "one"), q.Client("v", "two")
	if w1, w2 := c.Produce(5000, at(0)), d.Produce(5000, at(0)); w1 != 0 || w2 != 0 {
		t.Errorf("clients of the default share: %v, %v", w1, w2)
	}
	if q.Sensors() != 3 {
		t.Errorf("%d measurements", q.Sensors())
	}
	if wait := a.Fetch(1<<40, at(0)); wait != 0 || a.MaxFetch(at(0)) >= 0 {
		t.Errorf("a fetch without a quota waits %v", wait)
	}
	if ok, wait := a.Mutate(1<<30, true, at(0)); !ok || wait != 0 {
		t.Errorf("mutations without a quota: %v, %v", ok, wait)
	}
	// The quota goes up: what was measured stays.
	q.update(quotaImage(2, QuotaProduce, map[string]float64{"user=u": 1099}))
	if wait := b.Produce(0, at(0)); wait != 9*time.Millisecond { // (1100-1099)/1099 × 10 s
		t.Errorf("after a change: %v", wait)
	}
	q.update(quotaImage(1, QuotaProduce, nil)) // an older image
	if wait := b.Produce(0, at(0)); wait == 0 {
		t.Error("an older image took the quota away")
	}
	q.update(quotaImage(3, QuotaProduce, nil))
	if wait := b.Produce(1<<40, at(0)); wait != 0 {
		t.Errorf("without quotas: %v", wait)
	}
}

func TestQuotaSet(t *testing.T) {
	q := newQuotas(QuotaProduce, map[string]float64{"user=u client=c": 1})
	c := q.Client("ANONYMOUS", "")
	if wait := c.Produce(1000, noon); wait != 0 {
		t.Errorf("before authentication: %v", wait)
	}
	id := []byte("c")
	c.Set("u", id)
	if wait := c.Produce(1000, noon); wait == 0 {
		t.Error("after authentication no quota holds")
	}
	id[0] = 'd' // the request's buffer goes on to other uses
	c.Set("u", []byte("c"))
	if wait := c.Produce(1, noon); wait == 0 {
		t.Error("the client id was kept by reference")
	}
	c.Set("u", id)
	if wait := c.Produce(1000, noon); wait != 0 {
		t.Errorf("another client id: %v", wait)
	}
}

func TestQuotaFetch(t *testing.T) {
	q := newQuotas(QuotaFetch, map[string]float64{"user=u": 1000})
	c := q.Client("u", "c")
	if got := c.MaxFetch(noon); got != 10_000 {
		t.Errorf("a fetch may carry %d bytes", got)
	}
	if wait := c.Fetch(20_000, noon); wait != 10*time.Second {
		t.Errorf("20,000 bytes wait %v", wait)
	}
	c.Unfetch(20_000, noon)
	if wait := c.Fetch(10_000, noon); wait != 0 {
		t.Errorf("after the bytes were given back: %v", wait)
	}
}

func TestQuotaRequest(t *testing.T) {
	q := newQuotas(QuotaRequest, map[string]float64{"user=u": 50})
	c := q.Client("u", "c")
	if wait := c.Request(5*time.Second, noon); wait != 0 { // 500 % over 10 s
		t.Errorf("5 s wait %v", wait)
	}
	if wait := c.Request(time.Millisecond, noon); wait != 2*time.Millisecond {
		t.Errorf("1 ms more waits %v", wait)
	}
	if wait := c.Request(time.Hour, noon); wait != time.Second {
		t.Errorf("an hour waits %v, more than a window", wait)
	}
}

func TestQuotaMutation(t *testing.T) {
	q := newQuotas(QuotaMutation, map[string]float64{"user=u": 2})
	c := q.Client("u", "c")
	steps := []struct {
		ms     int
		n      int
		strict bool
		ok     bool
		wait   time.Duration
	}{
		{0, 22, true, true, 0},                            // the burst is 11 s × 2
		{0, 10, true, true, 0},                            // at zero it is not used up
		{0, 1, true, false, 5 * time.Second},              // at -10 it is
		{1000, 1, true, false, 4 * time.Second},           // and a refusal takes nothing
		{1000, 2, false, true, 5 * time.Second},           // the permissive does it all the same
		{5999, 1, true, false, 1 * time.Millisecond},      // -0.002
		{6001, 100, true, true, 0},                        // one goes beyond
		{6001, 0, false, true, 49999 * time.Millisecond},  //
		{1000000, 22, true, true, 0},                      // never more than the burst
		{1000000, 1, true, true, 0},                       //
		{1000000, 1, true, false, 500 * time.Millisecond}, //
	}
	for i, s := range steps {
		ok, wait := c.Mutate(s.n, s.strict, noon.Add(time.Duration(s.ms)*time.Millisecond))
		if ok != s.ok || wait != s.wait {
			t.Fatalf("step %d: %v, %v", i, ok, wait)
		}
	}
}

func TestQuotaConnection(t *testing.T) {
	q := newQuotas(QuotaConnections, map[string]float64{"ip=192.0.2.1": 2, "ip=<default>": 1})
	other := netip.MustParseAddr("2001:db8::7%eth0")
	for range 20 {
		if wait := q.Connection(host1, noon); wait != 0 {
			t.Fatalf("waits %v", wait)
		}
	}
	for range 100 { // those that are turned away do not count
		if wait := q.Connection(netip.MustParseAddr("::ffff:192.0.2.1"), noon); wait != 500*time.Millisecond {
			t.Fatalf("the 21st waits %v", wait)
		}
	}
	if wait := q.Connection(host1, noon.Add(1500*time.Millisecond)); wait != 0 { // 21 in 10.5 s
		t.Errorf("a while later: %v", wait)
	}
	for i := range 11 {
		if wait := q.Connection(other, noon); (wait == 0) != (i < 10) {
			t.Errorf("connection %d of an address with the default: %v", i, wait)
		}
	}
	q.update(quotaImage(2, QuotaConnections, map[string]float64{"ip=192.0.2.1": 2}))
	if wait := q.Connection(other, noon); wait != 0 {
		t.Errorf("without a default: %v", wait)
	}
}

func TestQuotaSensorsBounded(t *testing.T) {
	q := NewQuotas(nil, QuotaOptions{MaxSensors: 100})
	q.update(quotaImage(1, QuotaProduce, map[string]float64{"user=<default>": 10}))
	kept := q.Client("u0", "")
	kept.Produce(1, noon)
	for i := range 1000 {
		c := q.Client(fmt.Sprint("u", i), "")
		c.Produce(200, noon)
		if wait := c.Produce(1, noon); wait == 0 {
			t.Fatalf("user %d, for whom there is no room, is not measured", i)
		}
	}
	if q.Sensors() != 100 || q.Overflow() != 900 {
		t.Errorf("%d measurements, %d found no room", q.Sensors(), q.Overflow())
	}
	later := noon.Add(13 * time.Second)
	q.Client("new", "").Produce(1, later)
	if q.Sensors() != 1 {
		t.Errorf("%d measurements after all were idle", q.Sensors())
	}
	if wait := kept.Produce(80, later); wait != 0 {
		t.Errorf("a connection whose measurement was forgotten waits %v", wait)
	}
	if wait := q.Client("u0", "").Produce(80, later); wait == 0 || q.Sensors() != 2 {
		t.Error("a connection whose measurement was forgotten does not share the new one")
	}
	sweep(q, later.Add(time.Minute))
	if q.Sensors() != 0 {
		t.Errorf("%d measurements after a sweep", q.Sensors())
	}
}

func sweep(q *Quotas, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep(q.ms(now))
}

// TestQuotaForgetsNothing: a measurement that is swept while idle gives the
// same throttles as one that is not.
func TestQuotaForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		swept := newQuotas(QuotaProduce, map[string]float64{"user=u": 100})
		kept := newQuotas(QuotaProduce, map[string]float64{"user=u": 100})
		kept.base = swept.base
		a, b := swept.Client("u", "c"), kept.Client("u", "c")
		now := noon
		for range 30 {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 7, 500, 1000, 3000, 12_001, 20_000}).Draw(t, "ms")) * time.Millisecond)
			sweep(swept, now)
			n := rapid.Int64Range(0, 2000).Draw(t, "bytes")
			if x, y := a.Produce(n, now), b.Produce(n, now); x != y {
				t.Fatalf("swept: %v, not swept: %v", x, y)
			}
		}
	})
}

func TestQuotaClockBack(t *testing.T) {
	q := newQuotas(QuotaProduce, map[string]float64{"user=u": 1000})
	c := q.Client("u", "c")
	c.Produce(10_000, noon)
	if wait := c.Produce(1000, noon.Add(-time.Hour)); wait > 2*time.Second {
		t.Errorf("a clock that goes back throttles for %v", wait)
	}
}

func TestQuotaConcurrent(t *testing.T) {
	q := newQuotas(QuotaProduce, map[string]float64{"user=<default>": 1e12})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			c := q.Client("u", "c")
			for i := range 500 {
				now := noon.Add(time.Duration(i) * time.Second)
				c.Produce(1, now)
				if i%50 == g {
					q.update(quotaImage(int64(i), QuotaProduce, map[string]float64{"user=u": 1e12}))
					sweep(q, now)
				}
			}
		})
	}
	all.Wait()
}

func TestQuotaAllocatesNothing(t *testing.T) {
	q := NewQuotas(nil, QuotaOptions{})
	image := quotaImage(1, QuotaProduce, map[string]float64{"user=u": 1e9})
	for k := range quotaKinds {
		image.Quotas[entity("user=u")][k.Key()] = 1e9
	}
	image.Quotas[entity("ip=<default>")] = map[string]float64{QuotaConnections.Key(): 1e9}
	q.update(image)
	c := q.Client("u", "c")
	now, id := noon, []byte("c")
	use := func() {
		now = now.Add(300 * time.Millisecond)
		c.Set("u", id)
		c.Produce(1, now)
		c.Fetch(1, now)
		c.Unfetch(1, now)
		c.MaxFetch(now)
		c.Request(time.Microsecond, now)
		c.Mutate(1, true, now)
	}
	for range 100 {
		use()
	}
	if n := testing.AllocsPerRun(200, use); n != 0 {
		t.Errorf("a request's quotas allocate %v times", n)
	}
}

func BenchmarkQuota(b *testing.B) {
	q := newQuotas(QuotaProduce, map[string]float64{"user=u": 1e12})
	b.Run("produce", func(b *testing.B) {
		b.ReportAllocs()
		c, now, id := q.Client("u", "c"), noon, []byte("c")
		for b.Loop() {
			now = now.Add(time.Microsecond)
			c.Set("u", id)
			c.Produce(100, now)
		}
	})
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		c, id := q.Client("u", "c"), []byte("c")
		for b.Loop() {
			c.Set("u", id)
			c.Fetch(100, noon)
		}
	})
}

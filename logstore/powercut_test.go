package logstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The power-cut test: random appends to several logs by idempotent producers,
// power cut at a random operation of the disk, reopened, checked against what
// was acknowledged, and on from there, several times on the same disk.

// cutLog is the model of one log.
type cutLog struct {
	spec   LogSpec
	acked  map[int64]string // offset -> value, acknowledged
	sent   map[string]int   // every value that was ever tried -> times it may be there (1)
	seq    int32            // next sequence of its producer
	last   *cutBatch        // last batch tried
	start  int64            // acknowledged log start
	tried  int64            // highest log start tried
	nextID int
}

type cutBatch struct {
	raw   []byte
	seq   int32
	n     int
	text  string
	acked bool
	base  int64
}

type cutter struct {
	t    *testing.T
	rng  *rand.Rand
	seed uint64
	logs []*cutLog
	life int
}

func TestCrashPowerCut(t *testing.T) {
	first, n := crashFirst(), uint64(crashSeeds(25))
	for seed := first; seed < first+n; seed++ {
		c := &cutter{t: t, rng: rand.New(rand.NewPCG(seed, 77)), seed: seed}
		for p := range 3 {
			spec := specOf("t", int32(p))
			spec.Config.SegmentBytes = 1500
			spec.Config.IndexIntervalBytes = 100
			spec.Config.FileDeleteDelayMs = 0
			c.logs = append(c.logs, &cutLog{spec: spec, acked: map[int64]string{}, sent: map[string]int{}})
		}
		disk := vfs.NewMem()
		for c.life = range 4 {
			disk = c.run(disk)
			if t.Failed() {
				t.Fatalf("seed %d, life %d", seed, c.life)
			}
		}
	}
}

// run is one life: open, check, append until the cut.
func (c *cutter) run(disk *vfs.Mem) *vfs.Mem {
	o := rigOptions(disk)
	o.JournalMax = 3 << 20
	if c.seed%3 == 0 {
		o.DirectBytes = 300
	}
	if c.seed%2 == 0 {
		o.SegmentWrite = "mmap"
	}
	if c.seed%5 == 0 {
		disk.CrashAt(disk.Ops() + c.rng.IntN(120)) // often in recovery
	} else {
		disk.CrashAt(disk.Ops() + 20 + c.rng.IntN(900))
	}
	if c.life == 3 {
		disk.CrashAt(0) // the last life ends well
	}
	r, err := openRig(c.t, o)
	if err == nil {
		m := r.s.dirs[0].mapper
		m.hot, m.size = 2, 4096
		c.live(r, disk)
		err = r.s.Close()
		if c.life == 3 && err != nil {
			c.t.Errorf("clean stop: %v", err)
		}
	} else if c.life == 3 || !errors.Is(err, vfs.ErrPowerCut) {
		c.t.Errorf("open: %v", err)
	}
	if c.life == 3 {
		return disk
	}
	disk.CutPower()
	return disk.Crash(c.rng, vfs.CrashOptions{})
}

func (c *cutter) live(r *rig, disk *vfs.Mem) {
	var logs []*Log
	for _, m := range c.logs {
		spec := m.spec
		spec.Epoch = int32(c.life + 1)
		l, err := r.s.OpenLog(spec)
		if err != nil {
			c.tolerate(r, "open log", err)
			return
		}
		logs = append(logs, l)
	}
	if err := r.s.Ready(func(string, TopicID, int32) bool { return true }); err != nil {
		c.tolerate(r, "ready", err)
		return
	}
	for i, m := range c.logs {
		if !c.check(r, m, logs[i]) {
			return
		}
	}
	if n := r.s.Stats().Damaged; n != 0 {
		c.t.Errorf("a power cut looks like damage %d times: %s", n, r.log)
	}
	for range 40 + c.rng.IntN(60) {
		if !c.step(r, logs) {
			return
		}
	}
	for i, m := range c.logs {
		if !c.check(r, m, logs[i]) {
			return
		}
	}
}

// tolerate accepts what a power cut explains.
func (c *cutter) tolerate(r *rig, what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for errors.Is(err, ErrOffline) && len(r.off) == 0 {
		r.cond.Wait()
	}
	if errors.Is(err, vfs.ErrPowerCut) || (errors.Is(err, ErrOffline) && len(r.off) > 0 && errors.Is(r.off[0], vfs.ErrPowerCut)) {
		return
	}
	c.t.Errorf("%s: %v (offline: %v) %s", what, err, r.off, r.log)
}

// step does one thing; false ends the life.
func (c *cutter) step(r *rig, logs []*Log) bool {
	switch k := c.rng.IntN(40); {
	case k == 0:
		if err := r.s.Checkpoint(); err != nil {
			c.tolerate(r, "checkpoint", err)
			return false
		}
		return true
	case k == 1:
		i := c.rng.IntN(len(logs))
		m := c.logs[i]
		hw := logs[i].Offsets().HighWatermark
		to := m.start + c.rng.Int64N(max(hw-m.start, 0)/2+1)
		m.tried = max(m.tried, to)
		start, err := logs[i].DeleteRecords(to)
		if err != nil {
			c.tolerate(r, "delete records", err)
			return false
		}
		m.start = start
		return true
	case k == 2:
		if err := logs[c.rng.IntN(len(logs))].Roll(testNow); err != nil {
			c.tolerate(r, "roll", err)
			return false
		}
		return true
	}
	// A burst over the logs, then wait for all of it.
	type sentTo struct {
		m   *cutLog
		b   *cutBatch
		tok Token
	}
	var burst []sentTo
	led := c.rng.IntN(2) == 0
	for range 1 + c.rng.IntN(5) {
		i := c.rng.IntN(len(logs))
		m := c.logs[i]
		b := m.next(c)
		tok := nextToken()
		res, err := logs[i].Append(&Append{Batches: b.raw, Token: tok, Now: testNow, Guard: Unguarded, Led: led})
		if err != nil {
			c.tolerate(r, "append", err)
			// What was pushed before must still be answered.
			break
		}
		b.base = res.BaseOffset
		burst = append(burst, sentTo{m, b, tok})
	}
	if led {
		go r.s.Lead(&eventLoop{s: r.s, wg: new(sync.WaitGroup)}) // which may wait for what this goroutine is about to do
	}
	ok := len(burst) > 0
	for _, x := range burst {
		if err := r.wait(x.tok); err != nil {
			c.tolerate(r, "commit", err)
			ok = false
			continue
		}
		x.b.acked = true
		for k := range x.b.n {
			x.m.acked[x.b.base+int64(k)] = fmt.Sprintf("%s/%d", x.b.text, k)
		}
	}
	return ok
}

func (m *cutLog) next(c *cutter) *cutBatch {
	b := &cutBatch{seq: m.seq, n: 1 + c.rng.IntN(3), text: fmt.Sprintf("s%d-l%d-p%d-%d", c.seed, c.life, m.spec.Partition, m.nextID)}
	m.nextID++
	pad := ""
	if c.rng.IntN(4) == 0 {
		pad = fmt.Sprintf("-%0*d", c.rng.IntN(400), 0)
	}
	b.text += pad
	m.seq += int32(b.n)
	b.raw = makeBatch(b.text, b.n, producing{int64(m.spec.Partition) + 10, 0, b.seq, false}, testNow)
	for k := range b.n {
		m.sent[fmt.Sprintf("%s/%d", b.text, k)] = 1
	}
	m.last = b
	return b
}

// check reads the log and holds it against the model, then retries the last
// batch as its producer would.
func (c *cutter) check(r *rig, m *cutLog, l *Log) bool {
	o := l.Offsets()
	if o.LogStart < m.start || o.LogStart > m.tried {
		c.t.Errorf("log start is %d, acknowledged %d, tried %d", o.LogStart, m.start, m.tried)
	}
	m.start = o.LogStart
	all, err := readLog(l, o.LogStart, false, 1+c.rng.IntN(3000))
	if err != nil {
		c.tolerate(r, "read", err)
		return false
	}
	seen := map[string]bool{}
	at := map[int64]string{}
	for i, g := range all {
		if i > 0 && g.offset != all[i-1].offset+1 {
			c.t.Errorf("%s-%d: offset %d follows %d", m.spec.Topic, m.spec.Partition, g.offset, all[i-1].offset)
		}
		if seen[g.value] {
			var where []int64
			for _, h := range all {
				if h.value == g.value {
					where = append(where, h.offset)
				}
			}
			c.t.Errorf("%.40q is there twice, at %v; last %+v; offsets %+v", g.value, where, m.last.base, o)
		}
		if m.sent[g.value] == 0 {
			c.t.Errorf("%.40q was never sent", g.value)
		}
		seen[g.value], at[g.offset] = true, g.value
	}
	for off, v := range m.acked {
		if off >= o.LogStart && at[off] != v {
			c.t.Errorf("%s-%d: acknowledged %.40q at %d, read %.40q; offsets %+v", m.spec.Topic, m.spec.Partition, v, off, at[off], o)
		}
	}
	if c.t.Failed() {
		return false
	}
	return c.retry(r, m, l, seen)
}

// retry sends the last batch again. If it survived it is a duplicate with the
// same offset, otherwise it is appended now; earlier lost ones may leave a gap
// in the sequence, which is refused: then the producer begins a new life.
func (c *cutter) retry(r *rig, m *cutLog, l *Log, seen map[string]bool) bool {
	b := m.last
	if b == nil {
		return true
	}
	survived := seen[fmt.Sprintf("%s/0", b.text)] || (b.acked && b.base < m.start)
	raw := makeBatch(b.text, b.n, producing{int64(m.spec.Partition) + 10, 0, b.seq, false}, testNow)
	res, err := r.append(l, Append{Batches: raw})
	switch {
	case errors.Is(err, ErrOutOfOrderSequence) && !b.acked:
		// Batches before it were lost, none of them acknowledged: what is there
		// ends the sequence.
		var entry *producerEntry
		l.mu.Lock()
		entry = l.prod.get(int64(m.spec.Partition) + 10)
		m.seq = 0
		if entry != nil {
			m.seq = entry.lastSeq() + 1
		}
		l.mu.Unlock()
		m.last = nil
		return true
	case err != nil:
		c.tolerate(r, "retry", err)
		return false
	case survived && !res.Duplicate:
		c.t.Errorf("a batch that is in the log was appended again at %d", res.BaseOffset)
	case !survived && b.acked:
		c.t.Errorf("an acknowledged batch was lost")
	case res.Duplicate && b.acked && res.BaseOffset != b.base:
		c.t.Errorf("a duplicate is answered with offset %d, the original had %d", res.BaseOffset, b.base)
	}
	b.acked, b.base = true, res.BaseOffset
	for k := range b.n {
		m.acked[b.base+int64(k)] = fmt.Sprintf("%s/%d", b.text, k)
	}
	return !c.t.Failed()
}

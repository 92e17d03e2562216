package logstore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// crashScenarios are what the crash model promises to go through; each must
// have happened when enough seeds ran.
var crashScenarios = []string{
	"segment rolled", "checkpoint", "DeleteRecords", "retention", "compaction", "topic deleted and made again",
	"aborted transaction", "read beside appends", "direct sync", "append through a window",
	"append in each directory: /data1", "append in each directory: /data2", "append beside an offline directory",
	"journal file used again", "slow checkpoint", "full ring behind a slow checkpoint",
	"EIO on write", "EIO on sync", "EIO on syncdir", "EIO on rename", "EIO on create", "EIO on read", "EIO on a part of a write",
	"append refused on a full disk", "failed sync that then reports clean", "slow call",
	"stall that is unhealthy", "stall that ends the process",
	"power cut in recovery", "power cut in use", "end: stopped", "end: power cut", "end: killed",
}

// enoughCrashSeeds is from how many seeds on every scenario must have happened:
// what CI runs.
const enoughCrashSeeds = 200

// crashCoverage counts what happened over all seeds of a run.
type crashCoverage struct {
	mu sync.Mutex
	n  map[string]int // mu
}

// newCrashCoverage holds the counts against the list when the test ends.
func newCrashCoverage(t *testing.T, seeds uint64) *crashCoverage {
	c := &crashCoverage{n: map[string]int{}}
	t.Cleanup(func() {
		for name, n := range c.n {
			if !slices.Contains(crashScenarios, name) {
				t.Errorf("%q happened %d times and is not in the list of scenarios", name, n)
			}
		}
		for _, name := range crashScenarios {
			t.Logf("%6d × %s", c.n[name], name)
			if seeds >= enoughCrashSeeds && c.n[name] == 0 && !t.Failed() {
				t.Errorf("%d seeds, and %q never happened", seeds, name)
			}
		}
	})
	return c
}

func (c *crashCoverage) hit(name string, happened bool) {
	if !happened {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name]++
}

// life counts what a life went through; its store is at rest or could not open.
func (c *crashCoverage) life(w *crashWorld, end string) {
	c.hit("end: "+end, true)
	if cut := w.disk.Cut(); cut && w.stall == nil {
		c.hit("power cut in recovery", !w.opened)
		c.hit("power cut in use", w.opened)
	}
	struck := w.struck != nil && w.struck() > 0
	c.hit(w.kind, struck)
	c.hit("append through a window", w.stores() > 0)
	if w.s == nil {
		return
	}
	st := w.s.Stats()
	c.hit("segment rolled", st.Rolls > 0)
	c.hit("direct sync", st.DirectSyncs > 0)
	c.hit("full ring behind a slow checkpoint", struck && w.kind == "slow checkpoint" && st.Stalls > 0)
	for _, d := range w.s.dirs {
		if j := d.journal; j != nil {
			c.hit("journal file used again", j.cameAround())
		}
	}
}

// cameAround: a file made in this life has been given another number since.
func (j *journal) cameAround() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(append(slices.Clone(j.ready), j.used...), func(f *ringFile) bool {
		return filepath.Base(f.name) != fmt.Sprintf("%016x%s", f.number, journalSuffix)
	})
}

// crashSeeds is how many seeds to run: CRASH_SEEDS, or def.
func crashSeeds(def int) int {
	if s := os.Getenv("CRASH_SEEDS"); s != "" {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	}
	return def
}

// crashFirst is the first seed, CRASH_FIRST, so that a long run can be cut into
// pieces and one seed be looked at.
func crashFirst() uint64 {
	n, err := strconv.ParseUint(os.Getenv("CRASH_FIRST"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

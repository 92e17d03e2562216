package logstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// dumpDir dumps every file of a data directory and gives the JSON by name.
func dumpDir(t *testing.T, disk vfs.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			for k, v := range dumpDir(t, disk, name) {
				out[filepath.Join(e.Name(), k)] = v
			}
		case strings.HasSuffix(name, suffixLog):
			text := ""
			err := DumpLog(disk, name, func(pos int64, b record.Batch) error {
				text += fmt.Sprintf("%d@%d ", b.BaseOffset(), pos)
				return nil
			})
			out[e.Name()] = fmt.Sprint(text, err)
		case strings.HasSuffix(name, journalSuffix):
			text := ""
			_, err := DumpJournal(disk, name, func(g JournalGroup) error {
				for _, f := range g.Frames {
					text += fmt.Sprintf("%s:%d+%d ", f.Type, f.Offset, f.Length)
				}
				return nil
			})
			out[e.Name()] = fmt.Sprint(text, err)
		default:
			v, err := Dump(disk, name)
			raw, jerr := json.Marshal(v)
			if jerr != nil {
				t.Fatal(jerr)
			}
			out[e.Name()] = fmt.Sprint(string(raw), err)
		}
	}
	return out
}

func TestDumpShowsWhatWasWritten(t *testing.T) {
	r := newStage(t, func(o *Options) { o.DirectBytes = -1 })
	l := r.log(stageSpec("t", func(c *LogConfig) { c.IndexIntervalBytes = 50 }))
	r.ready()
	r.append(l, testBatch{producer: 7, txn: true, ts: 5, records: []string{"k", "v"}}.bytes(t))
	r.append(l, markerBytes(t, 7, 0, false, 6))
	r.append(l, testBatch{ts: 9, records: []string{"k", "v", "l", "w"}}.bytes(t))
	r.must(l.Roll(10))
	r.append(l, testBatch{producer: 8, seq: 3, ts: 10, records: []string{"k", "v"}}.bytes(t))
	_, err := l.DeleteRecords(1)
	r.must(err)
	r.close()
	got := dumpDir(t, r.disk, "/data")
	for name, want := range map[string]string{
		"logs/t-0/00000000000000000000.log":       "0@0 1@70 2@148 <nil>",
		"logs/t-0/00000000000000000004.log":       "4@0 <nil>",
		"logs/t-0/00000000000000000000.index":     `[{"offset":1,"position":70},{"offset":3,"position":148}]<nil>`,
		"logs/t-0/00000000000000000000.timeindex": `[{"timestamp":6,"offset":1},{"timestamp":9,"offset":3}]<nil>`,
		"logs/t-0/00000000000000000000.txnindex":  `[{"producerId":7,"firstOffset":0,"lastOffset":1,"lastStableOffset":2}]<nil>`,
		"logs/t-0/00000000000000000004.snapshot":  `[{"producerId":7,"epoch":0,"lastSequence":0,"lastOffset":0,"offsetDelta":0,"timestamp":6,"coordinatorEpoch":0,"currentTxnFirstOffset":-1}]<nil>`,
		"logs/t-0/leader-epoch-checkpoint":        `[{"epoch":1,"startOffset":1}]<nil>`,
		"logs/recovery-point-offset-checkpoint":   `[{"topic":"t","partition":0,"offset":5}]<nil>`,
		"logs/log-start-offset-checkpoint":        `[{"topic":"t","partition":0,"offset":1}]<nil>`,
	} {
		if got[name] != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got[name], want)
		}
	}
	for name, part := range map[string]string{
		"checkpoint":                         `"topic":"t","partition":0,"topicId":"dC4uLi4uLi4uLi4uLi4uLg","journalGeneration":1,"logStartOffset":1,"recoveryPoint":5,"activeSegment":4,`,
		"logs/t-0/00000000000000000000.seal": `"Base":0,"Next":4,`,
		"journal/0000000000000001.journal":   "append:0+70 append:1+78 append:2+",
	} {
		if !strings.Contains(got[name], part) {
			t.Errorf("%s is %s, without %s", name, got[name], part)
		}
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	spec := stageSpec("t", func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 700, 200 })
	build := func(t *testing.T, clean bool) *stage {
		r := newStage(t, nil)
		l := r.log(spec)
		r.ready()
		for i := range 30 {
			r.append(l, testBatch{ts: 5, records: []string{"key", fmt.Sprintf("value%02d", i)}}.bytes(t))
		}
		r.must(r.store.Checkpoint())
		if !clean {
			r.disk.CutPower()
			_ = r.store.Close() // on a dead disk
			r.disk = r.disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
			return r
		}
		r.close()
		return r
	}
	const first, last = "/data/logs/t-0/00000000000000000000", "/data/logs/t-0/00000000000000000024"
	flip := func(name string, at int64) func(*stage) {
		return func(r *stage) {
			f, err := r.disk.Open(name)
			r.must(err)
			b := make([]byte, 1)
			_, err = f.ReadAt(b, at)
			r.must(err)
			b[0] ^= 0x10
			_, err = f.WriteAt(b, at)
			r.must(err)
			r.must(f.Close())
		}
	}
	cases := []struct {
		name   string
		unsafe bool // stop without a clean stop
		harm   func(*stage)
		want   string
	}{
		{"nothing", false, func(*stage) {}, ""},
		{"nothing, not stopped", true, func(*stage) {}, ""},
		{"a record", false, flip(first+".log", 100), "0:1-3"},
		{"a length", false, flip(first+".log", 9), "0:0-3"},
		{"the active segment", false, flip(last+".log", 70), "24:24-27"},
		{"an epoch, outside of the CRC", false, flip(first+".log", 15), "0:0-0"},
		{"an index", false, flip(first+".index", 7), "0:0-0"},
		{"a seal", false, flip(first+".seal", 20), "0:0-0"},
		{"no log file", false, func(r *stage) { r.must(r.disk.Remove(last + ".log")) }, "24:24-30"},
		{"a missing index", false, func(r *stage) { r.must(r.disk.Remove(first + ".index")) }, "0:0-0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := build(t, !c.unsafe)
			c.harm(r)
			var found []string
			sum, err := VerifyDir(r.disk, "/data", 0, nil, func(d Damage) {
				if d.Topic != "t" || d.ID != stageID("t") || d.Err == nil {
					t.Errorf("damage is %+v", d)
				}
				base := strings.TrimLeft(strings.Split(filepath.Base(d.File), ".")[0], "0")
				found = append(found, fmt.Sprintf("%s:%d-%d", "0"[:max(0, 1-len(base))]+base, d.From, d.To))
			})
			r.must(err)
			if got := strings.Join(found, " "); got != c.want {
				t.Errorf("found %q, want %q (%+v)", got, c.want, sum)
			}
			if c.want == "" && (sum.Logs != 1 || sum.Segments != 4 || sum.Batches != 30 || sum.Unproven != 0) {
				t.Errorf("looked at %+v", sum)
			}
		})
	}
}

// TestVerifyRunningStore: the closed segments of a store in use are checked, the
// others counted, and what is deleted meanwhile is no damage.
func TestVerifyRunningStore(t *testing.T) {
	r := newStage(t, nil)
	l := r.log(stageSpec("t", nil))
	r.ready()
	defer r.close()
	for range 3 {
		r.append(l, testBatch{ts: 1, records: []string{"k", "v"}}.bytes(t))
		r.must(l.Roll(1))
	}
	r.append(l, testBatch{ts: 1, records: []string{"k", "v"}}.bytes(t))
	segs := *l.segs.Load()
	eventually(t, "the closed segments are sealed", func() bool { return segs[0].sealed.Load() && segs[2].sealed.Load() })
	verify := func() (sum Verified, found []string) {
		t.Helper()
		sum, err := VerifyDir(r.disk, "/data", 0, nil, func(d Damage) { found = append(found, fmt.Sprintf("%s-%d:%d-%d", d.Topic, d.Partition, d.From, d.To)) })
		r.must(err)
		return sum, found
	}
	if sum, found := verify(); len(found) != 0 || sum.Sealed != 3 || sum.Batches != 3 || sum.Unproven != segs[3].size.Load() {
		t.Errorf("found %v, looked at %+v", found, sum)
	}
	f, err := r.disk.Open(segs[1].path() + suffixLog)
	r.must(err)
	_, err = f.WriteAt([]byte{0xff}, 65)
	r.must(errors.Join(err, f.Close()))
	if sum, found := verify(); len(found) != 1 || found[0] != "t-0:1-2" || sum.Damaged != 1 {
		t.Errorf("found %v, looked at %+v", found, sum)
	}
	// Between the two passes retention takes the segment away.
	r.disk.Inject(vfs.Fault{Op: vfs.OpOpen, Path: segs[1].path() + suffixLog, Skip: 1, Hook: func() {
		r.must(r.disk.Rename(segs[1].path()+suffixLog, segs[1].path()+suffixLog+suffixDeleted))
	}})
	if sum, found := verify(); len(found) != 0 || sum.Damaged != 0 {
		t.Errorf("a deleted segment: found %v, looked at %+v", found, sum)
	}
	if _, err := VerifyDir(r.disk, "/elsewhere", 0, nil, func(Damage) {}); err == nil {
		t.Error("verifying nothing went well")
	}
}

// The scrub of a running store says what, where and which offsets.
func TestScrub(t *testing.T) {
	told := make(chan Damage, 10)
	r := newStage(t, func(o *Options) { o.Upkeep.OnDamage = func(d Damage) { told <- d } })
	defer r.close()
	l := r.log(stageSpec("t", func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 700, 200 }))
	r.ready()
	for i := range 30 {
		r.append(l, testBatch{ts: 5, records: []string{"key", fmt.Sprintf("value%02d", i)}}.bytes(t))
	}
	r.must(r.store.Checkpoint())
	u := &r.store.upkeep
	u.scrubAll()
	if n := len(told); n != 0 || u.scrubPasses.Load() != 1 {
		t.Fatalf("%d times damage in a whole log", n)
	}
	// Its sums are those of what was written, and not of what comes now.
	eventually(t, "the first segment is sealed", func() bool { return (*l.segs.Load())[0].sealed.Load() })
	f, err := r.disk.Open("/data/logs/t-0/00000000000000000000.log")
	r.must(err)
	_, err = f.WriteAt([]byte{1}, 100)
	r.must(err)
	r.must(f.Close())
	u.scrubAll()
	if len(told) != 1 {
		t.Fatalf("%d times damage", len(told))
	}
	if d := <-told; d.Topic != "t" || d.Partition != 0 || d.From != 1 || d.To != 3 {
		t.Errorf("damage is %+v", d)
	}
}

// Readers of files must survive any content: an error or a value, in bounded
// memory.
func FuzzDump(f *testing.F) {
	for _, name := range []string{"00000000000000000000.index", "00000000000000000007.timeindex", "00000000000000000000.txnindex", "00000000000000000000.snapshot", "00000000000000000000.seal", "00000000000000000000.replaces.swap", "checkpoint", "leader-epoch-checkpoint", "damaged-ranges", "cleaner-offset-checkpoint", "x.journal", "x.log"} {
		f.Add(name, []byte("0\n1\n1 2\n"))
		f.Add(name, make([]byte, 9000))
	}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if len(content) > 1<<20 || len(name) > 60 || strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." {
			return
		}
		disk := vfs.NewMem()
		file, err := disk.Create("/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		bounded(t, "dumping "+name, len(content), func() {
			if v, err := Dump(disk, "/"+name); err == nil && v == nil {
				t.Error("neither a value nor an error")
			}
			err = DumpLog(disk, "/"+name, func(pos int64, b record.Batch) error {
				if pos < 0 || pos+int64(len(b)) > int64(len(content)) {
					t.Errorf("a batch of %d bytes at %d of %d", len(b), pos, len(content))
				}
				return nil
			})
			_, jerr := DumpJournal(disk, "/"+name, func(g JournalGroup) error { return nil })
			_, _ = err, jerr // any answer will do, but for a panic
		})
	})
}

// TestDumpPreallocatedIndex: Kafka's indexes of an active segment are 10 MB of
// zeros with entries in front.
func TestDumpPreallocatedIndex(t *testing.T) {
	one, two := []byte{0, 0, 0, 3, 0, 0, 1, 0}, []byte{0, 0, 0, 5, 0, 0, 2, 0}
	zeros := make([]byte, 48)
	stamp := append(binary.BigEndian.AppendUint64(nil, 7), 0, 0, 0, 3)
	for _, x := range []struct {
		suffix string
		raw    []byte
		want   int // entries
		bad    bool
	}{
		{suffixIndex, slices.Concat(one, two, zeros), 2, false},
		{suffixIndex, zeros, 0, false},
		{suffixIndex, slices.Concat(one, zeros, two), 1, true},
		{suffixIndex, slices.Concat(two, one), 1, true},
		{suffixTime, slices.Concat(stamp, zeros), 1, false},
		{suffixTime, zeros, 0, false},
		{suffixTime, zeros[:12], 1, false}, // a record may have the time 0
		{suffixTxn, make([]byte, 68), 1, true},
	} {
		v, err := dumpBytes(segmentName(0, x.suffix), x.raw)
		if n := reflect.ValueOf(v).Len(); n != x.want || (err != nil) != x.bad {
			t.Errorf("%s % x: %d entries, %v", x.suffix, x.raw, n, err)
		}
	}
}

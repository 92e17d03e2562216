package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// The tail tests cut and flip the last bytes that a crash left. Torn means a
// clean cut; damaged in acknowledged data means loud.

// threeGroups is a disk whose journal holds exactly groups 1..3 and whose
// segments lost what was not synced: the journal alone has the records.
func threeGroups(t *testing.T) (disk *vfs.Mem, name string, dir [16]byte) {
	o := rigOptions(vfs.NewMem())
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	for i := range 3 {
		r.put(l, fmt.Sprint("group", i), 2)
	}
	d := r.s.dirs[0]
	name, dir = d.journal.cur.name, d.id
	mem := o.FS.(*vfs.Mem)
	mem.CutPower()
	r.abandon()
	return mem.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone}), name, dir
}

func slurp(t *testing.T, disk vfs.FS, name string) []byte {
	t.Helper()
	f, err := disk.OpenRead(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

// spew replaces a file's content.
func spew(t *testing.T, disk vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := disk.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// journalOf reads a journal file's groups.
func journalOf(t *testing.T, content []byte, dir [16]byte) (seqs []uint64, damage []string) {
	t.Helper()
	disk := vfs.NewMem()
	if err := disk.MkdirAll("/j", 0o755); err != nil {
		t.Fatal(err)
	}
	spew(t, disk, "/j/0000000000000001"+journalSuffix, content)
	img, err := readJournal(disk, "/j", dir, checkpointMark{}, false, goPlain)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range img.files {
		if err := f.file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range img.groups {
		if g.whole() {
			seqs = append(seqs, g.seq)
		}
	}
	return seqs, img.damage
}

func TestJournalTailExhaustive(t *testing.T) {
	disk, name, dir := threeGroups(t)
	whole := slurp(t, disk, name)[:8*journalBlock]
	if seqs, damage := journalOf(t, whole, dir); !slices.Equal(seqs, []uint64{1, 2, 3}) || len(damage) > 0 {
		t.Fatalf("the untouched journal has groups %v, damage %v", seqs, damage)
	}
	const first = journalBlock // group n is block n
	step := 3
	if os.Getenv("CRASH_SEEDS") != "" {
		step = 1
	}
	for at := first; at < 4*journalBlock; at += step {
		group := uint64(at / journalBlock)
		want := []uint64{1, 2, 3}[:group-1]
		if seqs, damage := journalOf(t, whole[:at], dir); !slices.Equal(seqs, want) || len(damage) > 0 {
			t.Fatalf("cut at byte %d: groups %v, damage %v", at, seqs, damage)
		}
		// Group 3 is the last: a flip there cannot be told from a torn write.
		// Groups 1 and 2 are proved durable by the group after them.
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		seqs, damage := journalOf(t, flipped, dir)
		want = slices.DeleteFunc([]uint64{1, 2, 3}, func(s uint64) bool { return s == group })
		if !slices.Equal(seqs, want) || (len(damage) > 0) != (group < 3) {
			t.Fatalf("bit flipped in byte %d of group %d: groups %v, damage %v", at%journalBlock, group, seqs, damage)
		}
	}
}

// reopenCut opens a store on a disk after a crash and gives its one log.
func reopenCut(t *testing.T, disk *vfs.Mem) (*rig, *Log) {
	t.Helper()
	r := mustRig(t, rigOptions(disk))
	l := r.open(specOf("t", 0))
	if err := r.s.Ready(func(topic string, _ TopicID, _ int32) bool { return topic == "t" }); err != nil {
		t.Fatal(err)
	}
	return r, l
}

// TestDamagedGroupIsLoud flips a byte in an acknowledged group whose records
// are nowhere else.
func TestDamagedGroupIsLoud(t *testing.T) {
	base, name, _ := threeGroups(t)
	for _, at := range []int{0, 3, 15, 16, 40, 60, 100, 150, 200, 4000} {
		disk := base.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
		raw := slurp(t, disk, name)
		raw[2*journalBlock+at] ^= 0x10
		spew(t, disk, name, raw)
		r, l := reopenCut(t, disk)
		if o := l.Offsets(); o.HighWatermark != 6 {
			t.Fatalf("byte %d: what came after the damage was dropped: %+v", at, o)
		}
		if r.s.Stats().Damaged == 0 || !strings.Contains(r.log.String(), "damaged") {
			t.Errorf("byte %d: the damage is silent: %s", at, r.log)
		}
		if _, err := readLog(l, 2, false, 1<<20); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: reading the damaged range: %v", at, err)
		}
		if have, err := readLog(l, 0, false, 1<<20); !errors.Is(err, ErrDamaged) || !slices.Equal(have, []got{{0, "group0/0"}, {1, "group0/1"}}) {
			t.Errorf("byte %d: reading up to the damage: %v %v", at, have, err)
		}
		if have, err := readLog(l, 4, false, 1<<20); err != nil || !slices.Equal(have, []got{{4, "group2/0"}, {5, "group2/1"}}) {
			t.Errorf("byte %d: reading behind the damage: %v %v", at, have, err)
		}
		if _, err := l.Append(&Append{Batches: makeBatch("x", 1, nobody, testNow), Now: testNow}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("byte %d: a damaged log takes appends: %v", at, err)
		}
		r.close()
		// The hole is remembered over a clean stop.
		r, l = reopenCut(t, disk)
		if _, err := readLog(l, 3, false, 1<<20); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: reopened: %v", at, err)
		}
		r.close()
	}
}

// TestSegmentTailExhaustive: the direct path, so that the segment alone has
// the records. The last batch is beyond any proof.
func TestSegmentTailExhaustive(t *testing.T) {
	o := rigOptions(vfs.NewMem())
	o.DirectBytes = 1
	r := mustRig(t, o).ready()
	l := r.open(specOf("t", 0))
	other := r.open(specOf("u", 0))
	var ends []int64
	for i := range 4 {
		r.put(l, fmt.Sprint("batch", i), 2)
		ends = append(ends, l.Size())
	}
	// A journaled append to another log carries the proofs of what came before.
	if err := func() error { _, err := other.DeleteRecords(0); return err }(); err != nil {
		t.Fatal(err)
	}
	r.put(l, "last", 1)
	path := (*l.segs.Load())[0].path() + suffixLog
	mem := o.FS.(*vfs.Mem)
	mem.CutPower()
	r.abandon()
	base := mem.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	whole := slurp(t, base, path)
	step := 5
	if os.Getenv("CRASH_SEEDS") != "" {
		step = 1
	}
	for at := int(ends[2]); at < len(whole); at += step {
		for _, cut := range []bool{true, false} {
			disk := base.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
			raw := bytes.Clone(whole)
			if cut {
				raw = raw[:at]
			} else {
				raw[at] ^= 1 << (at % 8)
			}
			spew(t, disk, path, raw)
			r, l := reopenCut(t, disk)
			what := fmt.Sprintf("byte %d of %d (cut: %v)", at, len(whole), cut)
			damaged := r.s.Stats().Damaged > 0
			if proven := int64(at) < ends[3]; proven != damaged {
				t.Fatalf("%s: proven %v, damage reported %v, %s", what, proven, damaged, r.log)
			}
			if hw := l.Offsets().HighWatermark; hw < 8 || hw > 9 {
				t.Fatalf("%s: high watermark %d", what, hw)
			}
			have, err := readLog(l, 0, false, 1<<20)
			if damaged != errors.Is(err, ErrDamaged) || len(have) < 6 || have[5].value != "batch2/1" {
				t.Fatalf("%s: read %v, %v", what, have, err)
			}
			if damaged && !cut {
				// The batch behind the flipped one is whole and must be there.
				if have, err := readLog(l, 8, false, 1<<20); err != nil || len(have) != 1 || have[0].value != "last/0" {
					t.Fatalf("%s: behind the damage %v, %v", what, have, err)
				}
			}
			r.close()
		}
	}
}

// TestRecoveryIsIdempotent opens a crashed disk, crashes again before and
// after Ready, and finds the same.
func TestRecoveryIsIdempotent(t *testing.T) {
	disk, _, _ := threeGroups(t)
	want := []got{{0, "group0/0"}, {1, "group0/1"}, {2, "group1/0"}, {3, "group1/1"}, {4, "group2/0"}, {5, "group2/1"}}
	for round := range 4 {
		r := mustRig(t, rigOptions(disk))
		l := r.open(specOf("t", 0))
		if round%2 == 1 {
			r.ready()
		}
		if have := r.readAll(l, 0, false); !slices.Equal(have, want) {
			t.Fatalf("round %d: %v", round, have)
		}
		disk.CutPower()
		r.abandon()
		disk = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	}
}

func TestMissingJournalIsRefused(t *testing.T) {
	disk, name, _ := threeGroups(t)
	if err := disk.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	if _, err := openRig(t, rigOptions(disk)); err == nil || !containsAll(err.Error(), "journal", "missing", "--journal-dir") {
		t.Errorf("an unclean directory without its journal: %v", err)
	}
}

// TestIndexTailOfACutRecovery: a recovery that is cut off leaves anything behind
// the index entries that the checkpoint vouches for. The next one keeps those,
// above all the aborted transactions, which cannot be made again.
func TestIndexTailOfACutRecovery(t *testing.T) {
	disk := vfs.NewMem()
	r := mustRig(t, rigOptions(disk)).ready()
	spec := specOf("t", 0)
	spec.Config.IndexIntervalBytes = 1
	l := r.open(spec)
	for i := range int32(3) {
		if _, err := r.append(l, Append{Batches: makeBatch("x", 1, producing{9, 0, i, true}, testNow+int64(i)), Origin: Coordinator}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.mark(l, 9, 0, false, 1, false); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	path := l.active.path()
	disk.CutPower()
	r.abandon()
	disk = disk.Crash(nil, vfs.CrashOptions{Content: vfs.KeepNone, Names: vfs.KeepNone})
	for _, suffix := range []string{suffixIndex, suffixTime, suffixTxn} {
		f, err := disk.Open(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil || size == 0 {
			t.Fatalf("%s has %d bytes, %v", suffix, size, err)
		}
		_, err = f.WriteAt(make([]byte, 100), size) // a size that got to the disk without its bytes
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	r = mustRig(t, rigOptions(disk))
	l = r.open(spec)
	r.ready()
	if n := r.s.Stats().Damaged; n != 0 {
		t.Errorf("it is taken for damage %d times: %s", n, r.log)
	}
	s, err := l.Read(Read{Offset: 0, MaxBytes: 1, MinOne: true, Committed: true})
	if err != nil || len(s.Aborted) != 1 || s.Aborted[0].ProducerID != 9 {
		t.Errorf("aborted transactions: %+v, %v", s.Aborted, err)
	}
	if s.Len > 0 {
		s.Seg.Release()
	}
	r.close()
	for _, suffix := range []string{suffixIndex, suffixTime, suffixTxn} {
		if _, err := Dump(disk, path+suffix); err != nil {
			t.Errorf("%s after a recovery and a clean stop: %v", suffix, err)
		}
	}
}

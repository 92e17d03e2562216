package logstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/logstore/vfs"
)

// FuzzReaders gives arbitrary bytes to every reader of our own and Kafka's
// side files: an error or a value, never a panic, and what was read and is
// written again reads the same.
func FuzzReaders(f *testing.F) {
	var p producers
	e := p.entry(7)
	e.push(sentBatch{lastSeq: 3, delta: 1, lastOffset: 9, timestamp: 5})
	f.Add(encodeSnapshot(&p))
	entry := logEntry{key: logKey{TopicID{1}, 2}, topic: "t", recovery: 9, base: 3, pos: 77, prod: p, txns: []openTxn{{7, place{4, 3, 10}, -1}}}
	f.Add(entry.encode(nil))
	f.Add(encodeCheckpoint([16]byte{1}, checkpointMark{1, 2}, map[logKey][]byte{entry.key: entry.encode(nil)}))
	seal := Seal{Base: 1, Next: 2, Size: 3}
	f.Add(seal.encode())
	f.Add(encodeOffsets([]partitionOffset{{"t", 1, 2}}))
	f.Add([]byte("0\n2\n1 0\n3 99\n"))
	f.Fuzz(func(t *testing.T, b []byte) { bounded(t, "reading", len(b), func() { fuzzReaders(t, b) }) })
}

func fuzzReaders(t *testing.T, b []byte) {
	if back, err := decodeSnapshot(b); err == nil && len(back.m) > len(b)/snapshotEntry {
		t.Errorf("%d producers out of %d bytes", len(back.m), len(b))
	}
	if back, err := decodeLogEntry(b); err == nil {
		again, err := decodeLogEntry(back.encode(nil))
		if err != nil || again.recovery != back.recovery || len(again.prod.m) != len(back.prod.m) {
			t.Errorf("an entry does not survive being written again: %v", err)
		}
	}
	if _, entries, err := decodeCheckpoint(b, [16]byte{1}); err == nil && len(entries)*20 > len(b) {
		t.Errorf("%d entries out of %d bytes", len(entries), len(b))
	}
	if back, err := decodeSeal(b); err == nil && !bytes.Equal(back.encode(), b) {
		t.Error("a seal does not survive being written again")
	}
	if lines, err := decodeOffsets(string(b)); err == nil {
		if again, err := decodeOffsets(string(encodeOffsets(lines))); err != nil || len(again) != len(lines) {
			t.Errorf("offsets do not survive being written again: %v", err)
		}
	}
	if _, err := decodeEpochs(string(b)); err != nil && len(err.Error()) == 0 {
		t.Error("an error without text")
	}
}

// FuzzRecovery overwrites a piece of one file of a crashed directory and opens
// it: an error of Open, or a log that can be read without a panic.
func FuzzRecovery(f *testing.F) {
	o := rigOptions(vfs.NewMem())
	r := mustRig(f, o).ready()
	l := r.open(specOf("t", 0))
	for i := range int32(5) {
		if _, err := r.append(l, Append{Batches: makeBatch("x", 2, producing{1, 0, 2 * i, false}, testNow)}); err != nil {
			f.Fatal(err)
		}
		if i == 2 {
			if err := r.s.Checkpoint(); err != nil {
				f.Fatal(err)
			}
		}
	}
	journal, segment := r.s.dirs[0].journal.cur.name, l.active.path()
	base := o.FS.(*vfs.Mem)
	base.CutPower()
	r.abandon()
	base = base.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
	files := []string{journal, segment + suffixLog, "/data/" + fileCheckpoint, "/data/" + fileFormat,
		"/data/logs/t-0/" + fileEpochs, "/data/logs/t-0/" + fileMetadata, segment + suffixIndex}
	for i := range files {
		f.Add(uint8(i), uint32(40), []byte{0xff, 0, 1})
		f.Add(uint8(i), uint32(4096), []byte{0, 0, 0, 0, 0, 0, 0, 9})
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, piece []byte) {
		disk := base.Crash(nil, vfs.CrashOptions{Content: vfs.KeepAll, Names: vfs.KeepAll})
		file, err := disk.Open(files[int(which)%len(files)])
		if err != nil {
			return // no index yet
		}
		if _, err := file.WriteAt(piece, int64(at%40000)); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := openRig(t, rigOptions(disk))
		if err != nil {
			return
		}
		defer r.abandon()
		defer func() {
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
				t.Errorf("recovery and reading allocate %d bytes", got)
			}
		}()
		l, err := r.s.OpenLog(specOf("t", 0))
		if err != nil {
			return
		}
		if err := r.s.Ready(func(string, TopicID, int32) bool { return true }); err != nil {
			return
		}
		o := l.Offsets()
		if o.HighWatermark > 1000 || o.LogStart > o.HighWatermark {
			t.Errorf("offsets out of nothing: %+v", o)
		}
		for next := o.LogStart; next < o.HighWatermark; {
			s, err := l.Read(Read{Offset: next, MaxBytes: 1 << 16, MinOne: true})
			if err != nil {
				next++
				continue
			}
			if s.Len == 0 {
				break
			}
			s.Seg.Release()
			next = s.NextOffset
		}
	})
}

// bounded runs f, which reads n bytes of anything, and fails when it allocates
// out of proportion: a length that a file claims is no reason to believe it.
func bounded(t *testing.T, what string, n int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(2<<20+64*n) {
		t.Errorf("%s allocates %d bytes for %d", what, got, n)
	}
}

// FuzzJournal gives the journal's reader a file of anything, and one whose
// damaged blocks have right checksums: groups and frames that lie in the file,
// or an error.
func FuzzJournal(f *testing.F) {
	base := vfs.NewMem()
	o := rigOptions(base)
	r := mustRig(f, o).ready()
	l := r.open(specOf("t", 0))
	for i := range int32(3) {
		if _, err := r.append(l, Append{Batches: makeBatch(strings.Repeat("x", 3000), 2, producing{1, 0, 2 * i, false}, testNow)}); err != nil {
			f.Fatal(err)
		}
	}
	name, dir := r.s.dirs[0].journal.cur.name, r.s.dirs[0].id
	raw, err := readFile(base, name, 1<<30)
	if err != nil {
		f.Fatal(err)
	}
	raw = raw[:12*journalBlock]
	base.CutPower()
	r.abandon()
	f.Add(uint32(journalBlock+blockStamp+4), []byte{0xff, 0xff, 0xff, 0xff}, false) // a group of so many blocks
	f.Add(uint32(journalBlock+blockStamp+8), []byte{0xff, 0xff, 0xff, 0xff}, true)  // frames
	f.Add(uint32(journalBlock+blockStamp+groupHeader+4), []byte{0xff, 0xff}, true)  // bytes of a frame
	f.Add(uint32(3*journalBlock), raw[journalBlock:2*journalBlock], true)
	f.Fuzz(func(t *testing.T, at uint32, piece []byte, stamp bool) {
		b := bytes.Clone(raw)
		copy(b[int(at)%len(b):], piece)
		if stamp {
			for n := 1; n < len(b)/journalBlock; n++ {
				block := b[n*journalBlock : (n+1)*journalBlock]
				var s [blockStamp]byte
				crc := stampBlock(s[:], binary.BigEndian.Uint32(block), binary.BigEndian.Uint64(block[4:]), uint32(n))
				binary.BigEndian.PutUint32(block[12:], crc32.Update(crc, castagnoli, block[blockStamp:]))
			}
		}
		disk := vfs.NewMem()
		if err := disk.MkdirAll("/j", 0o755); err != nil {
			t.Fatal(err)
		}
		file, err := disk.Create("/j/0000000000000001" + journalSuffix)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		bounded(t, "reading the journal", len(b), func() {
			img, err := readJournal(disk, "/j", dir, checkpointMark{}, false, goPlain)
			if err != nil {
				return
			}
			for key, refs := range img.frames {
				for _, ref := range refs {
					frame, g, err := img.frameAt(ref)
					if err == nil && (len(frame.bytes) > len(b) || (logKey{frame.id, frame.partition}) != key || g.info.blocks == 0) {
						t.Errorf("a frame of %d bytes for %v in the list of %v", len(frame.bytes), frame.id, key)
					}
				}
			}
			for _, rf := range img.files {
				if err := rf.file.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	})
}

// FuzzIndexes loads index files of anything: entries that the file has, or an
// error.
func FuzzIndexes(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0})
	f.Add(bytes.Repeat([]byte{0xff}, 68))
	f.Add(make([]byte, 340))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := vfs.NewMem()
		for _, suffix := range []string{suffixIndex, suffixTime, suffixTxn} {
			file, err := disk.Create("/" + segmentName(0, suffix))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}
		path := "/" + segmentName(0, "")
		bounded(t, "reading an index", len(b), func() {
			fuzzIndex(t, disk, path, offsetFormat, len(b))
			fuzzIndex(t, disk, path, timeFormat, len(b))
			fuzzIndex(t, disk, path, txnFormat, len(b))
		})
	})
}

func fuzzIndex[E any](t *testing.T, disk vfs.FS, path string, format *entryFormat[E], size int) {
	var x entryFile[E]
	if err := x.learn(disk, path, format); err != nil {
		return
	}
	if err := x.load(disk, path, format); err == nil && x.count() > size/format.size {
		t.Errorf("%d entries of %d bytes in %d bytes", x.count(), format.size, size)
	}
}

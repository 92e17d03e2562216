package logstore

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// stage is a store on an in-memory disk whose appends are waited for.
type stage struct {
	t     testing.TB
	disk  *vfs.Mem
	store *Store
	opt   Options
}

// stageID is the topic id that the stage gives a topic.
func stageID(topic string) (id TopicID) {
	copy(id[:], topic+"................")
	return id
}

func newStage(t testing.TB, change func(*Options)) *stage {
	r := &stage{t: t, disk: vfs.NewMem()}
	r.opt = Options{
		Dirs: []string{"/data"}, JournalMax: 4 << 20, Ballast: -1,
		OnCommit: func(_ []Advance, done []Done) {
			for _, d := range done {
				d.Token.(chan error) <- d.Err
			}
		},
		Go:     func(_ string, f func()) { go f() },
		Upkeep: UpkeepOptions{CleanerRate: -1, ScrubRate: -1, CleanerThreads: -1},
	}
	if change != nil {
		change(&r.opt)
	}
	r.open()
	return r
}

// open opens a store on the stage's disk.
func (r *stage) open() {
	r.t.Helper()
	r.opt.FS = r.disk
	s, err := Open(r.opt)
	r.must(err)
	r.store = s
}

func (r *stage) ready() {
	r.t.Helper()
	r.must(r.store.Ready(func(string, TopicID, int32) bool { return true }))
}

func (r *stage) close() {
	r.t.Helper()
	r.must(r.store.Close())
}

// reopen stops the store cleanly and opens another with the same topics.
func (r *stage) reopen(specs ...LogSpec) []*Log {
	r.t.Helper()
	r.close()
	r.open()
	var logs []*Log
	for _, s := range specs {
		logs = append(logs, r.log(s))
	}
	r.ready()
	return logs
}

func (r *stage) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func stageSpec(topic string, change func(*LogConfig)) LogSpec {
	c := DefaultLogConfig()
	c.FileDeleteDelayMs = 0
	if change != nil {
		change(&c)
	}
	return LogSpec{Topic: topic, ID: stageID(topic), Config: c, Epoch: 1}
}

func (r *stage) log(s LogSpec) *Log {
	r.t.Helper()
	l, err := r.store.OpenLog(s)
	r.must(err)
	return l
}

// append appends and waits until it is durable.
func (r *stage) append(l *Log, batches []byte) Appended {
	r.t.Helper()
	a, err := r.tryAppend(l, batches, Coordinator)
	r.must(err)
	return a
}

func (r *stage) tryAppend(l *Log, batches []byte, o Origin) (Appended, error) {
	done := make(chan error, 1)
	a, err := l.Append(&Append{Batches: batches, Origin: o, Token: done, Now: 1, Guard: Unguarded})
	if err != nil {
		return a, err
	}
	return a, <-done
}

// testBatch is a batch to append.
type testBatch struct {
	codec    compress.Codec
	producer int64 // 0: none
	epoch    int16
	seq      int32
	txn      bool
	ts       int64
	// records are key, value pairs; "-" is null.
	records []string
}

func (b testBatch) bytes(t testing.TB) []byte {
	t.Helper()
	o := record.DefaultBuilderOptions()
	o.Codec, o.Transactional = b.codec, b.txn
	if b.producer > 0 {
		o.ProducerID, o.ProducerEpoch, o.BaseSequence = b.producer, b.epoch, b.seq
	}
	w := record.NewBuilder(nil, o)
	null := func(s string) []byte {
		if s == "-" {
			return nil
		}
		return []byte(s)
	}
	for i := 0; i+1 < len(b.records); i += 2 {
		w.Append(b.ts, null(b.records[i]), null(b.records[i+1]))
	}
	out, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func markerBytes(t testing.TB, producer int64, epoch int16, commit bool, ts int64) []byte {
	t.Helper()
	m := record.Marker{ProducerID: producer, ProducerEpoch: epoch, Commit: commit}
	out, err := record.AppendMarker(nil, m, ts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// readAll reads a log from its start to its high watermark by Read.
func (r *stage) batches(l *Log) (out []record.Batch) {
	r.t.Helper()
	all, err := readBatches(l, l.Offsets().LogStart, false)
	r.must(err)
	return all
}

// readBatches reads what a consumer would from an offset on.
func readBatches(l *Log, from int64, committed bool) (out []record.Batch, err error) {
	var c Cursor
	for {
		s, err := l.Read(Read{Offset: from, MaxBytes: 300, MinOne: true, Committed: committed, Cursor: &c})
		if err != nil {
			return out, fmt.Errorf("read at %d: %w", from, err)
		}
		if s.Len == 0 {
			return out, nil
		}
		p := make([]byte, s.Len)
		n, err := s.Seg.ReadAt(p, s.Off)
		s.Seg.Release()
		if n < len(p) && !errors.Is(err, io.EOF) || n < len(p) {
			return out, fmt.Errorf("read of %d bytes at %d: %d, %w", len(p), s.Off, n, err)
		}
		for len(p) > 0 {
			b, rest, err := record.Next(p)
			if err != nil {
				return out, fmt.Errorf("after offset %d: %w", from, err)
			}
			if !b.CheckCRC() {
				return out, fmt.Errorf("batch at %d: bad CRC", b.BaseOffset())
			}
			out = append(out, b)
			p = rest
		}
		if s.NextOffset <= from {
			return out, fmt.Errorf("read at %d does not move on: next is %d", from, s.NextOffset)
		}
		from = s.NextOffset
	}
}

// testRecord is one record read back.
type testRecord struct {
	offset, ts int64
	key, value string
}

func recordsOf(t testing.TB, batches []record.Batch) (out []testRecord) {
	t.Helper()
	str := func(b []byte) string {
		if b == nil {
			return "-"
		}
		return string(b)
	}
	for _, b := range batches {
		if b.Control() {
			continue
		}
		p, err := b.Payload(nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if b.Count() == 0 {
			continue
		}
		it := record.NewIter(p, b.Count())
		var r record.Record
		for it.Next(&r) {
			out = append(out, testRecord{b.BaseOffset() + int64(r.OffsetDelta), b.Timestamp(r.TimestampDelta), str(r.Key), str(r.Value)})
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
	}
	return out
}

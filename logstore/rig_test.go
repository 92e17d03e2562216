package logstore

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// rig is a store under test with what its committer told.
type rig struct {
	t    testing.TB
	s    *Store
	disk vfs.FS
	log  *recorder

	mu   sync.Mutex
	cond *sync.Cond
	done map[Token]error // mu
	adv  map[*Log]int    // mu; advances told
	off  []error         // mu
}

// recorder keeps what was logged at error level.
type recorder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func goPlain(_ string, f func()) { go f() }

// rigOptions are the options of a rig; tests change them.
func rigOptions(disk vfs.FS) Options {
	return Options{Dirs: []string{"/data"}, FS: disk, JournalMax: 8 << 20, DiskReserve: -1, Ballast: -1, SegmentWrite: "pwrite",
		Upkeep: UpkeepOptions{CleanerThreads: -1, ScrubRate: -1}}
}

// openRig opens a store; the caller opens logs and calls ready.
func openRig(t testing.TB, o Options) (*rig, error) {
	r := &rig{t: t, disk: o.FS, done: map[Token]error{}, adv: map[*Log]int{}, log: &recorder{}}
	r.cond = sync.NewCond(&r.mu)
	o.Go = goPlain
	o.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelError}))
	o.OnCommit = func(adv []Advance, done []Done) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range adv {
			r.adv[a.Log]++
		}
		for _, d := range done {
			if _, twice := r.done[d.Token]; twice {
				t.Errorf("token %v was done twice", d.Token)
			}
			r.done[d.Token] = d.Err
		}
		r.cond.Broadcast()
	}
	o.OnOffline = func(_ string, why error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.off = append(r.off, why)
		r.cond.Broadcast()
	}
	s, err := Open(o)
	r.s = s
	return r, err
}

// offline waits until OnOffline was told of a directory and gives all that it was
// told: appends are refused, and Usable is false, a moment before it is called.
func (r *rig) offline() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.off) == 0 {
		r.cond.Wait()
	}
	return slices.Clone(r.off)
}

// mustRig opens a store on a disk that must let it.
func mustRig(t testing.TB, o Options) *rig {
	t.Helper()
	r, err := openRig(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) ready() *rig {
	r.t.Helper()
	if err := r.s.Ready(func(string, TopicID, int32) bool { return true }); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.s.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// abandon closes a store whose disk is gone: only that its goroutines end
// matters.
func (r *rig) abandon() {
	if err := r.s.Close(); err != nil && !errors.Is(err, vfs.ErrPowerCut) && !errors.Is(err, ErrOffline) {
		r.t.Errorf("closing a store without its disk: %v", err)
	}
}

// committing is the journal file that the committer of the first directory
// writes; a fault on "*.journal" may strike the keeper, which fills the next.
func (r *rig) committing() string { return r.s.dirs[0].journal.cur.name }

// committingFor is the same for the directory of a log.
func (r *rig) committingFor(l *Log) string { return l.dir.journal.cur.name }

func specOf(topic string, partition int32) LogSpec {
	id := TopicID{}
	copy(id[:], topic+"----------------")
	return LogSpec{Topic: topic, ID: id, Partition: partition, Config: DefaultLogConfig(), Epoch: 1}
}

func (r *rig) open(spec LogSpec) *Log {
	r.t.Helper()
	l, err := r.s.OpenLog(spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// wait waits until a token is done and gives its error.
func (r *rig) wait(tok Token) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err, ok := r.done[tok]; ok {
			return err
		}
		r.cond.Wait()
	}
}

var tokens struct {
	sync.Mutex
	n int
}

func nextToken() Token {
	tokens.Lock()
	defer tokens.Unlock()
	tokens.n++
	return tokens.n
}

// producing are a batch's producer fields.
type producing struct {
	id    int64
	epoch int16
	seq   int32
	txn   bool
}

var nobody = producing{-1, -1, -1, false}

// makeBatch builds a batch of n records whose values start with text.
func makeBatch(text string, n int, p producing, ts int64) []byte {
	o := record.DefaultBuilderOptions()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = p.id, p.epoch, p.seq, p.txn
	b := record.NewBuilder(nil, o)
	for i := range n {
		b.Append(ts+int64(i), []byte("k"), fmt.Appendf(nil, "%s/%d", text, i))
	}
	raw, err := b.Finish()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return raw
}

func makeMarker(id int64, epoch int16, commit bool, coordinator int32, ts int64) []byte {
	raw, err := record.AppendMarker(nil, record.Marker{ProducerID: id, ProducerEpoch: epoch, Commit: commit, CoordinatorEpoch: coordinator}, ts)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return raw
}

const testNow = 1_700_000_000_000

// append appends and waits until it is durable.
func (r *rig) append(l *Log, a Append) (Appended, error) {
	r.t.Helper()
	a.Token = nextToken()
	if a.Guard == 0 {
		a.Guard = Unguarded // no coordinator here
	}
	if a.Now == 0 {
		a.Now = testNow
	}
	res, err := l.Append(&a)
	if err != nil {
		return res, err
	}
	return res, r.wait(a.Token)
}

func (r *rig) put(l *Log, text string, n int) Appended {
	r.t.Helper()
	res, err := r.append(l, Append{Batches: makeBatch(text, n, nobody, testNow)})
	if err != nil {
		r.t.Fatalf("append %q: %v", text, err)
	}
	return res
}

// got is one record read back.
type got struct {
	offset int64
	value  string
}

// readAll reads every record from an offset to the high watermark (or LSO).
func (r *rig) readAll(l *Log, from int64, committed bool) []got {
	r.t.Helper()
	out, err := readLog(l, from, committed, 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func readLog(l *Log, from int64, committed bool, most int) (out []got, err error) {
	var cur Cursor
	for next := from; ; {
		s, err := l.Read(Read{Offset: next, MaxBytes: most, MinOne: true, Committed: committed, Cursor: &cur})
		if err != nil {
			return out, fmt.Errorf("read at %d: %w", next, err)
		}
		if s.Len == 0 {
			return out, nil
		}
		raw := make([]byte, s.Len)
		if n, err := s.Seg.ReadAt(raw, s.Off); n < len(raw) {
			return out, fmt.Errorf("read at %d: %w", next, err)
		}
		s.Seg.Release()
		var last int64 = -1
		for rest := raw; len(rest) > 0; {
			b, after, err := record.Next(rest)
			if err != nil {
				return out, fmt.Errorf("range of offset %d does not hold whole batches: %w", next, err)
			}
			rest = after
			if !b.CheckCRC() {
				return out, errors.New("bad CRC")
			}
			last = b.LastOffset()
			if b.Control() {
				continue
			}
			it := record.NewIter(b.Records(), b.Count())
			var rec record.Record
			for it.Next(&rec) {
				if o := b.BaseOffset() + int64(rec.OffsetDelta); o >= from {
					out = append(out, got{o, string(rec.Value)})
				}
			}
		}
		if s.NextOffset != last+1 {
			return out, fmt.Errorf("range of offset %d ends at %d and says %d", next, last+1, s.NextOffset)
		}
		if limit := s.HighWatermark; s.NextOffset > limit || (committed && s.NextOffset > s.LastStable) {
			return out, fmt.Errorf("range of offset %d passes the limit", next)
		}
		next = s.NextOffset
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

package txn

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/logstore"
)

// world is a coordinator on a real store in a temporary directory, with markers
// that the test sees and lets succeed or fail.
type world struct {
	t       *testing.T
	dir     string
	store   *logstore.Store
	cluster *cluster.Cluster
	logs    []*logstore.Log
	c       *Coordinator
	wg      sync.WaitGroup

	mu      sync.Mutex
	markers []string
	held    []func(error)                // mu; while hold is true
	hold    bool                         // mu
	fail    func(p part, m Marker) error // mu
	clock   time.Duration                // mu; added to the time
}

func (w *world) Go(_ string, f func()) {
	w.wg.Add(1)
	go func() { defer w.wg.Done(); f() }()
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.clock)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = d
}

func open(t *testing.T, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir}
	var err error
	w.store, err = logstore.Open(logstore.Options{Dirs: []string{dir}, Go: w.Go, OnCommit: func(_ []logstore.Advance, done []logstore.Done) {
		for _, d := range done {
			if !cluster.Done(d) {
				group.ShardDone(d)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if w.cluster, err = cluster.Open(cluster.Options{Store: w.store, NodeID: 1, Go: w.Go}); err != nil {
		t.Fatal(err)
	}
	topic := w.cluster.Image().Topic(StateTopic)
	id := logstore.TopicID{1}
	if topic != nil {
		id = topic.ID
	}
	for p := range int32(2) {
		log, err := w.store.OpenLog(logstore.LogSpec{Topic: StateTopic, ID: id, Partition: p, Config: logstore.DefaultLogConfig(), Internal: true})
		if err != nil {
			t.Fatal(err)
		}
		w.logs = append(w.logs, log)
	}
	if err := w.store.Ready(func(string, logstore.TopicID, int32) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if topic == nil {
		err := w.cluster.Commit(t.Context(), func(*cluster.Image) ([]cluster.Record, error) {
			return []cluster.Record{cluster.TopicRecord{Name: StateTopic, ID: id, Partitions: 2, Internal: true}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.c = New(Options{Cluster: w.cluster, Log: func(p int32) *logstore.Log { return w.logs[p] }, WriteMarker: w.writeMarker, Now: w.now, Go: w.Go})
	w.c.Open()
	return w
}

func (w *world) writeMarker(topic string, partition int32, m Marker, done func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		if err := w.fail(part{topic, partition}, m); err != nil {
			go done(err)
			return
		}
	}
	w.markers = append(w.markers, fmt.Sprintf("%s-%d %d/%d %v", topic, partition, m.ProducerID, m.ProducerEpoch, m.Commit))
	if w.hold {
		w.held = append(w.held, done)
		return
	}
	go done(nil)
}

func (w *world) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = false
	for _, done := range w.held {
		go done(nil)
	}
	w.held = nil
}

func (w *world) close() {
	w.c.Close()
	if err := errors.Join(w.cluster.Close(), w.store.Close()); err != nil {
		w.t.Error(err)
	}
	w.wg.Wait()
}

// eventually asks until the coordinator has loaded or a completion is over.
func eventually[T any](t *testing.T, ask func() (T, bool)) T {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		v, ok := ask()
		if ok {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not come; last: %+v", v)
		}
	}
}

func (w *world) init(id string, expect ...int64) *kmsg.InitProducerIDResponse {
	w.t.Helper()
	r := kmsg.NewPtrInitProducerIDRequest()
	r.Version, r.TransactionalID, r.TransactionTimeoutMillis = 5, &id, 60000
	if len(expect) > 0 {
		r.ProducerID, r.ProducerEpoch = expect[0], int16(expect[1])
	}
	return eventually(w.t, func() (*kmsg.InitProducerIDResponse, bool) {
		ch := make(chan *kmsg.InitProducerIDResponse, 1)
		w.c.InitProducerID(r, func(resp *kmsg.InitProducerIDResponse) { ch <- resp })
		resp := <-ch
		return resp, resp.ErrorCode != errCoordinatorLoading && resp.ErrorCode != errConcurrentTxns
	})
}

func (w *world) add(id string, producerID int64, epoch, version int16, parts ...Partition) int16 {
	ch := make(chan int16, 1)
	w.c.AddPartitions(id, producerID, epoch, parts, version, func(code int16) { ch <- code })
	return <-ch
}

func (w *world) end(id string, producerID int64, epoch int16, commit bool, version int16) *kmsg.EndTxnResponse {
	r := kmsg.NewPtrEndTxnRequest()
	r.Version, r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit = version, id, producerID, epoch, commit
	ch := make(chan *kmsg.EndTxnResponse, 1)
	w.c.EndTxn(r, func(resp *kmsg.EndTxnResponse) { ch <- resp })
	return <-ch
}

func (w *world) describe(id string) kmsg.DescribeTransactionsResponseTransactionState {
	ch := make(chan kmsg.DescribeTransactionsResponseTransactionState, 1)
	w.c.Describe(id, func(s kmsg.DescribeTransactionsResponseTransactionState) { ch <- s })
	return <-ch
}

func (w *world) waitState(id, state string) kmsg.DescribeTransactionsResponseTransactionState {
	w.t.Helper()
	return eventually(w.t, func() (kmsg.DescribeTransactionsResponseTransactionState, bool) {
		s := w.describe(id)
		return s, s.State == state
	})
}

// TestLife follows transactions of both versions through a coordinator.
func TestLife(t *testing.T) {
	w := open(t, t.TempDir())
	defer w.close()
	for _, version := range []int16{4, 5} {
		id := fmt.Sprintf("v%d", version)
		p := w.init(id)
		if p.ErrorCode != errNone || p.ProducerEpoch != 0 {
			t.Fatalf("init: %+v", p)
		}
		if code := w.add(id, p.ProducerID, 0, version-3, Partition{"a", 0}, Partition{"a", 1}); code != errNone {
			t.Fatalf("add: %d", code)
		}
		if s := w.describe(id); s.State != "Ongoing" || len(s.Topics) != 1 || len(s.Topics[0].Partitions) != 2 {
			t.Fatalf("described as %+v", s)
		}
		e := w.end(id, p.ProducerID, 0, true, version)
		if e.ErrorCode != errNone {
			t.Fatalf("end: %+v", e)
		}
		if version == 5 && e.ProducerEpoch != 1 {
			t.Fatalf("version 2 bumps the epoch at each end; got %+v", e)
		}
		w.waitState(id, "CompleteCommit")
		if again := w.end(id, p.ProducerID, 0, true, version); again.ErrorCode != errNone {
			t.Fatalf("a retry of the end: %+v", again)
		}
		if code := w.add(id, p.ProducerID+1, 0, 1, Partition{"a", 0}); code != errInvalidProducerIDMap {
			t.Fatalf("another producer id: %d", code)
		}
	}
	if code := w.add("nobody", 1, 0, 1, Partition{"a", 0}); code != errInvalidProducerIDMap {
		t.Fatalf("an id that was never initialised: %d", code)
	}
	if s := w.describe("nobody"); s.ErrorCode != errTransactionalIDNotFnd {
		t.Fatalf("described as %+v", s)
	}
	ch := make(chan []Transaction, 1)
	w.c.List(func(all []Transaction, _ bool) { ch <- all })
	if all := <-ch; len(all) != 2 {
		t.Fatalf("listed %+v", all)
	}
}

// TestFence: a second producer of the same id aborts the first one's
// transaction, and the first can do no more.
func TestFence(t *testing.T) {
	w := open(t, t.TempDir())
	defer w.close()
	first := w.init("id")
	if code := w.add("id", first.ProducerID, first.ProducerEpoch, 2, Partition{"a", 0}); code != errNone {
		t.Fatal(code)
	}
	second := w.init("id")
	if second.ErrorCode != errNone || second.ProducerID != first.ProducerID || second.ProducerEpoch <= first.ProducerEpoch {
		t.Fatalf("the second producer got %+v after %+v", second, first)
	}
	if code := w.add("id", first.ProducerID, first.ProducerEpoch, 2, Partition{"a", 0}); code != errProducerFenced {
		t.Fatalf("the zombie adds: %d", code)
	}
	if e := w.end("id", first.ProducerID, first.ProducerEpoch, true, 5); e.ErrorCode != errProducerFenced {
		t.Fatalf("the zombie commits: %+v", e)
	}
	if len(w.markers) != 1 || w.markers[0] != fmt.Sprintf("a-0 %d/%d false", first.ProducerID, first.ProducerEpoch+1) {
		t.Fatalf("markers: %v", w.markers)
	}
}

// TestCrash stops between the decision and the markers; the next start writes
// them, and not until they are written may the producer go on.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	p := w.init("id")
	if code := w.add("id", p.ProducerID, 0, 2, Partition{"a", 0}, Partition{"b", 3}); code != errNone {
		t.Fatal(code)
	}
	w.hold = true
	if e := w.end("id", p.ProducerID, 0, true, 5); e.ErrorCode != errNone {
		t.Fatalf("end: %+v", e)
	}
	if s := w.describe("id"); s.State != "PrepareCommit" {
		t.Fatalf("before the markers the state is %s", s.State)
	}
	if code := w.add("id", p.ProducerID, 1, 2, Partition{"a", 0}); code != errConcurrentTxns {
		t.Fatalf("an add before the completion: %d", code)
	}
	w.close()
	w = open(t, dir)
	defer w.close()
	w.waitState("id", "CompleteCommit")
	w.mu.Lock()
	n := len(w.markers)
	w.mu.Unlock()
	if n != 2 {
		t.Fatalf("markers after the restart: %v", w.markers)
	}
	if code := w.add("id", p.ProducerID, 1, 2, Partition{"a", 0}); code != errNone {
		t.Fatalf("the producer goes on with %d", code)
	}
}

// TestParked: what meets a completing transaction waits for it.
func TestParked(t *testing.T) {
	w := open(t, t.TempDir())
	defer w.close()
	p := w.init("id")
	if code := w.add("id", p.ProducerID, 0, 2, Partition{"a", 0}); code != errNone {
		t.Fatal(code)
	}
	w.mu.Lock()
	w.hold = true
	w.mu.Unlock()
	if e := w.end("id", p.ProducerID, 0, true, 5); e.ErrorCode != errNone {
		t.Fatalf("end: %+v", e)
	}
	eventually(t, func() (int, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.held), len(w.held) == 1
	})
	ch := make(chan int16, 1)
	w.c.AddPartitions("id", p.ProducerID, 1, []Partition{{"a", 0}}, 2, func(code int16) { ch <- code })
	eventually(t, func() (int64, bool) { n := w.c.Stats().Parked; return n, n == 1 })
	w.release()
	if code := <-ch; code != errNone && code != errConcurrentTxns {
		t.Fatalf("the parked add got %d", code)
	}
}

// TestMarkerFailure: a marker that fails is sent again until it is written.
func TestMarkerFailure(t *testing.T) {
	w := open(t, t.TempDir())
	defer w.close()
	p := w.init("id")
	if code := w.add("id", p.ProducerID, 0, 2, Partition{"a", 0}, Partition{"a", 1}); code != errNone {
		t.Fatal(code)
	}
	failures := 0
	w.mu.Lock()
	w.fail = func(p part, _ Marker) error {
		if p.Partition == 1 && failures < 3 {
			failures++
			return logstore.ErrBusy
		}
		return nil
	}
	w.mu.Unlock()
	if e := w.end("id", p.ProducerID, 0, false, 5); e.ErrorCode != errNone {
		t.Fatalf("end: %+v", e)
	}
	w.waitState("id", "CompleteAbort")
	if len(w.markers) != 2 || w.c.Stats().MarkerRetries != 3 {
		t.Fatalf("markers %v, %d retries", w.markers, w.c.Stats().MarkerRetries)
	}
}

// TestTimeout: an open transaction is aborted when its time is over, with a
// fenced epoch; an id that nobody uses is forgotten.
func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	p := w.init("id")
	if code := w.add("id", p.ProducerID, 0, 2, Partition{"a", 0}); code != errNone {
		t.Fatal(code)
	}
	w.advance(2 * time.Minute)
	w.init("other") // wakes its shard; the other's clock has moved as well
	w.close()
	w = open(t, dir)
	w.advance(4 * time.Minute)
	w.waitState("id", "CompleteAbort")
	// To transaction version 2 the abort looks like the answer to an end that was
	// lost: as in Kafka a commit is refused, an abort has happened.
	for _, c := range []struct {
		commit  bool
		version int16
		code    int16
	}{{true, 5, errInvalidTxnState}, {false, 5, errNone}, {true, 4, errProducerFenced}, {false, 4, errProducerFenced}} {
		if e := w.end("id", p.ProducerID, 0, c.commit, c.version); e.ErrorCode != c.code {
			t.Errorf("EndTxn v%d, commit %v, after the timeout: %+v, want code %d", c.version, c.commit, e, c.code)
		}
	}
	w.close()
}

// TestRefusals holds the codes for requests that cannot be meant.
func TestRefusals(t *testing.T) {
	w := open(t, t.TempDir())
	defer w.close()
	w.init("warm")
	id, empty, long := "id", "", strings.Repeat("i", maxID+1)
	for name, c := range map[string]struct {
		edit func(*kmsg.InitProducerIDRequest)
		want int16
	}{
		"empty id":         {func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = &empty }, errInvalidRequest},
		"long id":          {func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = &long }, errInvalidRequest},
		"no timeout":       {func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 }, errInvalidTxnTimeout},
		"too long":         {func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 900001 }, errInvalidTxnTimeout},
		"id without epoch": {func(r *kmsg.InitProducerIDRequest) { r.ProducerID = 5 }, errInvalidRequest},
	} {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.Version, r.TransactionalID, r.TransactionTimeoutMillis = 5, &id, 1000
		c.edit(r)
		ch := make(chan int16, 1)
		w.c.InitProducerID(r, func(resp *kmsg.InitProducerIDResponse) { ch <- resp.ErrorCode })
		if got := <-ch; got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if e := w.end("", 1, 0, true, 5); e.ErrorCode != errInvalidRequest {
		t.Errorf("an EndTxn without an id: %+v", e)
	}
}

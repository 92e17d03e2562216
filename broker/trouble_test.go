package broker

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// stalled is a disk whose syncs wait while the gate is shut.
type stalled struct {
	vfs.FS
	gate sync.RWMutex
}

type stalledFile struct {
	vfs.File
	disk *stalled
}

func (d *stalled) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &stalledFile{f, d}, nil
}

func (d *stalled) Open(name string) (vfs.File, error)   { return d.wrap(d.FS.Open(name)) }
func (d *stalled) Create(name string) (vfs.File, error) { return d.wrap(d.FS.Create(name)) }

func (f *stalledFile) Datasync() error {
	f.disk.gate.RLock()
	defer f.disk.gate.RUnlock()
	return f.File.Datasync()
}

// TestPanic: a handler that panics ends its connection and no other, on a loop
// and on a worker.
func TestPanic(t *testing.T) {
	bad := func(key int16, at place) *api {
		return &api{key: key, name: "Panic", resource: auth.ResCluster, operation: auth.OpAlter, place: at,
			handle: func(*request) kmsg.Response { panic("BUG: on purpose") }}
	}
	b := run(t, func(o *Options) {
		o.apis = []*api{bad(52, onLoop), bad(53, onWorker)}
		o.Logger = slog.New(slog.DiscardHandler)
	})
	other := dial(t, b)
	for i, key := range []int16{52, 53} {
		w := dial(t, b)
		req := kmsg.RequestForKey(key)
		w.send(kmsg.NewPtrHeartbeatRequest()) // its answer still comes
		w.send(req)
		if _, err := w.read(); err != nil {
			t.Errorf("key %d: the request before got no answer: %v", key, err)
		}
		w.closed()
		if n := b.Stats().Panics; n != int64(i+1) {
			t.Errorf("%d panics are counted, want %d", n, i+1)
		}
	}
	ask[*kmsg.MetadataResponse](other, kmsg.NewPtrMetadataRequest())
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
}

// TestClose: Close answers parked fetches and does not wait for their time.
func TestClose(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	req := fetchOf(12, "t", [16]byte{}, 0)
	req.MaxWaitMillis = 60000
	id := w.send(req)
	parked(t, b, 1)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 3, "g", "consumer", 30000, 30000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("x")}}
	g := dial(t, b)
	ask[*kmsg.FindCoordinatorResponse](g, &kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "g"})
	g.send(join)
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second { // both would wait for longer
		t.Errorf("Close took %v", took)
	}
	if part := onlyPart(t, w.answer(req, id).(*kmsg.FetchResponse)); part.ErrorCode != 0 {
		t.Errorf("the parked fetch got %d", part.ErrorCode)
	}
	w.closed()
}

// TestStalledDisk: while the disk does not answer, a Produce is answered with
// REQUEST_TIMED_OUT at its time, readers see nothing of it, and when the disk
// is back all of it is there.
func TestStalledDisk(t *testing.T) {
	disk := &stalled{FS: vfs.OS}
	b := run(t, func(o *Options) { o.FS = disk })
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	disk.gate.Lock()
	req := produceOf(9, "t", id, -1, batchOf(t, compress.None, 3))
	req.TimeoutMillis = 1
	began := time.Now()
	if p := ask[*kmsg.ProduceResponse](w, req).Topics[0].Partitions[0]; p.ErrorCode != errRequestTimedOut {
		t.Errorf("code %d", p.ErrorCode)
	}
	if took := time.Since(began); took < minProduceWait {
		t.Errorf("answered after %v", took)
	}
	if p := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(12, "t", id, 0))); p.HighWatermark != 0 || len(p.RecordBatches) != 0 {
		t.Errorf("high watermark %d, %d bytes before the sync", p.HighWatermark, len(p.RecordBatches))
	}
	disk.gate.Unlock()
	if at := produceTo(t, w, "t", batchOf(t, compress.None, 1)); at != 3 {
		t.Errorf("the next batch is at %d", at)
	}
}

// TestFullQueue: with the commit queue full produces wait in order, nothing is
// lost or refused, and fetches of others go on.
func TestFullQueue(t *testing.T) {
	disk := &stalled{FS: vfs.OS}
	b := run(t, func(o *Options) {
		o.FS = disk
		o.Limits = map[string]int64{limitQueueBytes: 4 << 10}
	})
	id := makeTopic(t, b, "t", 1, nil)
	conns := []*wire{dial(t, b), dial(t, b), dial(t, b)}
	reader := dial(t, b)
	disk.gate.Lock()
	const each = 40
	for i := range int32(each) {
		for _, w := range conns {
			w.write(frame(produceOf(9, "t", id, -1, batchOf(t, compress.None, 10)), i))
		}
	}
	eventually(t, "a produce of each connection waits", func() bool { return b.Stats().BusyParked >= 3 })
	onlyPart(t, ask[*kmsg.FetchResponse](reader, fetchOf(12, "t", id, 0)))
	disk.gate.Unlock()
	seen := map[int64]bool{}
	for _, w := range conns {
		last := int64(-1)
		for i := range int32(each) {
			p := w.answer(produceOf(9, "", [16]byte{}, 0, nil), i).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.BaseOffset <= last || seen[p.BaseOffset] {
				t.Fatalf("request %d: code %d, offset %d after %d", i, p.ErrorCode, p.BaseOffset, last)
			}
			last = p.BaseOffset
			seen[last] = true
		}
	}
	if o := b.topics.get("t").partition(0).log.Offsets(); o.HighWatermark != 3*each*10 {
		t.Errorf("high watermark %d, want %d", o.HighWatermark, 3*each*10)
	}
	// A produce that waits longer than its time is answered all the same.
	disk.gate.Lock()
	for i := range int32(each) {
		req := produceOf(9, "t", id, -1, batchOf(t, compress.None, 10))
		req.TimeoutMillis = 1
		conns[0].write(frame(req, i))
	}
	timedOut := 0
	for i := range int32(each) {
		p := conns[0].answer(produceOf(9, "", [16]byte{}, 0, nil), i).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode == errRequestTimedOut {
			timedOut++
		}
		if i == each/2 {
			disk.gate.Unlock()
		}
	}
	if timedOut == 0 {
		t.Error("nothing timed out")
	}
	produceTo(t, conns[0], "t", batchOf(t, compress.None, 1))
}

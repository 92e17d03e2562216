package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/logstore/vfs"
	"github.com/chronik-stream/chronik/netloop"
)

// TestSessionGrowth: a session does not grow beyond the partitions that all may
// have, whatever its requests add.
func TestSessionGrowth(t *testing.T) {
	const most = 10
	b := run(t, func(o *Options) { o.Limits = map[string]int64{limitFetchPartitions: most} })
	makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	full := fetchOf(12, "t", [16]byte{}, 0)
	full.SessionEpoch = 0
	id := ask[*kmsg.FetchResponse](w, full).SessionID
	if id == 0 {
		t.Fatal("there is no session")
	}
	next := func(epoch int32, from, n int) *kmsg.FetchRequest {
		req := fetchOf(12, "", [16]byte{}, 0)
		req.SessionID, req.SessionEpoch, req.Topics = id, epoch, nil
		for i := range n {
			req.Topics = append(req.Topics, fetchOf(12, "absent"+strconv.Itoa(from+i), [16]byte{}, 0).Topics[0])
		}
		return req
	}
	if resp := ask[*kmsg.FetchResponse](w, next(1, 0, most-1)); resp.ErrorCode != errNone {
		t.Fatalf("with room for all: code %d", resp.ErrorCode)
	}
	if n := b.Stats().FetchSessionPartitions; n != most {
		t.Errorf("%d partitions are counted, want %d", n, most)
	}
	if resp := ask[*kmsg.FetchResponse](w, next(2, most, 1)); resp.ErrorCode != errFetchSessionNotFound {
		t.Errorf("one too many: code %d", resp.ErrorCode)
	}
	if st := b.Stats(); st.FetchSessions != 0 || st.FetchSessionPartitions != 0 {
		t.Errorf("%d sessions with %d partitions are left", st.FetchSessions, st.FetchSessionPartitions)
	}
}

// TestManyPartitionsNamed: a request that names more partitions than there may be
// ends its connection; one that names the same one again and again keeps it once.
func TestManyPartitionsNamed(t *testing.T) {
	const most = 1000
	b := run(t, func(o *Options) { o.Limits, o.Loops = map[string]int64{limitPartitions: most}, 1 })
	makeTopic(t, b, "t", 1, nil)
	produce := produceOf(9, "t", [16]byte{}, -1, nil)
	fetch := fetchOf(12, "t", [16]byte{}, 0)
	for len(fetch.Topics[0].Partitions) < most {
		produce.Topics[0].Partitions = append(produce.Topics[0].Partitions, produce.Topics[0].Partitions[0])
		fetch.Topics[0].Partitions = append(fetch.Topics[0].Partitions, fetch.Topics[0].Partitions[0])
	}
	w := dial(t, b)
	ask[*kmsg.ProduceResponse](w, produce)
	fetch.MaxWaitMillis = 60_000
	w.send(fetch)
	parked(t, b, 1)
	room := make(chan int)
	b.loops[0].nl.Post(onLoopFunc(func() {
		for s := range b.loops[0].live {
			if s.fetches != nil {
				room <- cap(s.fetches.own)
			}
		}
	}))
	if n := <-room; n > keptParts {
		t.Errorf("a parked fetch of one partition has room for %d", n)
	}
	produce.Topics[0].Partitions = append(produce.Topics[0].Partitions, produce.Topics[0].Partitions[0])
	fetch.Topics[0].Partitions = append(fetch.Topics[0].Partitions, fetch.Topics[0].Partitions[0])
	for _, req := range []kmsg.Request{produce, fetch} {
		w := dial(t, b)
		w.send(req)
		w.closed()
	}
}

type onLoopFunc func()

func (f onLoopFunc) RunOnLoop(*netloop.Loop) { f() }

// TestPanicWithAppends: a Produce that panics with appends under way ends its
// connection, and the disk's answer to them finds nobody.
func TestPanicWithAppends(t *testing.T) {
	disk := &stalled{FS: vfs.OS}
	body := produceOf(9, "t", [16]byte{}, -1, batchOf(t, compress.None, 3)).AppendTo(nil)
	b := run(t, func(o *Options) {
		o.FS, o.Logger = disk, slog.New(slog.DiscardHandler)
		o.apis = []*api{{key: 52, name: "Panic", resource: auth.ResCluster, operation: auth.OpAlter, place: onLoop,
			handle: func(rq *request) kmsg.Response {
				rq.version, rq.body = 9, body
				handleProduce(rq)
				panic("BUG: on purpose")
			}}}
	})
	makeTopic(t, b, "t", 1, nil)
	disk.gate.Lock()
	w, other := dial(t, b), dial(t, b)
	w.send(kmsg.RequestForKey(52))
	w.closed()
	ask[*kmsg.ApiVersionsResponse](other, kmsg.NewPtrApiVersionsRequest()) // it may have the request that was freed
	disk.gate.Unlock()
	if at := produceTo(t, other, "t", batchOf(t, compress.None, 1)); at != 3 {
		t.Errorf("the next batch is at %d", at)
	}
	ask[*kmsg.MetadataResponse](other, kmsg.NewPtrMetadataRequest())
	if st := b.server.Stats(); b.Stats().Panics != 1 || st.Panics != 0 || st.LateAnswers != 0 {
		t.Errorf("%d panics, %d on loops, %d late answers", b.Stats().Panics, st.Panics, st.LateAnswers)
	}
}

// overdue is the context of a client whose time is over as soon as its request has
// been looked at.
type overdue struct {
	context.Context
	seen bool
}

func (c *overdue) Err() error {
	if !c.seen {
		c.seen = true
		return nil
	}
	return context.DeadlineExceeded
}

func (c *overdue) Done() <-chan struct{} {
	over := make(chan struct{})
	close(over)
	return over
}

// TestTopicWaitsForDisk: a change of topics whose client does not wait any longer
// is seen to its end: the metadata and the logs go together.
func TestTopicWaitsForDisk(t *testing.T) {
	b := run(t, nil)
	parts := func() string {
		open, known := b.topics.get("t"), b.cluster.Image().Topic("t")
		if (open == nil) != (known == nil) {
			return fmt.Sprintf("open: %v, in the metadata: %v", open != nil, known != nil)
		}
		if open == nil {
			return "none"
		}
		return fmt.Sprint(len(*open.parts.Load()), known.Partitions)
	}
	for _, step := range []struct {
		name, want string
		f          func(context.Context) error
	}{
		{"create", "2 2", func(ctx context.Context) error {
			return b.createTopics(ctx, []topicSpec{{name: "t", partitions: 2, replication: 1}})[0]
		}},
		{"grow", "3 3", func(ctx context.Context) error { return b.growTopic(ctx, "t", 3, false) }},
		{"delete", "none", func(ctx context.Context) error { return b.deleteTopic(ctx, b.cluster.Image().Topic("t").ID) }},
	} {
		if err := step.f(&overdue{Context: context.Background()}); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := parts(); got != step.want {
			t.Errorf("%s: %s partitions, want %s", step.name, got, step.want)
		}
	}
}

// TestTopicsTooLate: a change whose client has given up before it began does
// nothing, and each topic that was asked for has the error.
func TestTopicsTooLate(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	id := b.cluster.Image().Topic("t").ID
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	specs := []topicSpec{{name: "new", partitions: 1, replication: 1}, {name: "newer", partitions: 1, replication: 1}}
	errs := append(b.createTopics(ctx, specs), b.growTopic(ctx, "t", 2, false), b.deleteTopic(ctx, id))
	for i, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("change %d: %v", i, err)
		}
	}
	image := b.cluster.Image()
	if ct := image.Topic("t"); ct == nil || ct.Partitions != 1 || image.Topic("new") != nil || image.Topic("newer") != nil {
		t.Errorf("t is %+v, new %v, newer %v", ct, image.Topic("new"), image.Topic("newer"))
	}
}

// TestIdentityIsWritten: a directory that was served is one that Kafka would take
// over.
func TestIdentityIsWritten(t *testing.T) {
	b := run(t, func(o *Options) { o.NodeID = 7 })
	text, err := os.ReadFile(filepath.Join(b.opt.DataDirs[0], "logs", "meta.properties"))
	if want := "cluster.id=" + b.cluster.Image().ClusterID + "\nnode.id=7\n"; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%q, %v, want %q in it", text, err, want)
	}
}

// TestConfigChangesMeanwhile: a configuration that changes while a topic's logs are
// opened reaches them.
func TestConfigChangesMeanwhile(t *testing.T) {
	disk := vfs.NewMem()
	b := run(t, func(o *Options) { o.FS, o.DataDirs = disk, []string{"/data"} })
	w := dial(t, b)
	res := cluster.Resource{Type: cluster.ResourceTopic, Name: "t"}
	change := func(ms string) {
		if out := alterOne(w, res, "retention.ms", &ms); out.ErrorCode != errNone {
			t.Errorf("retention.ms=%s: code %d", ms, out.ErrorCode)
		}
	}
	disk.Inject(vfs.Fault{Op: vfs.OpMkdir, Path: "t-0", Hook: func() { change("1111") }})
	disk.Inject(vfs.Fault{Op: vfs.OpMkdir, Path: "t-1", Hook: func() { change("2222") }})
	if err := b.createTopics(context.Background(), []topicSpec{{name: "t", partitions: 1, replication: 1}})[0]; err != nil {
		t.Fatal(err)
	}
	if ms := b.Log("t", 0).Config().RetentionMs; ms != 1111 {
		t.Errorf("retention.ms of a topic that was being made is %d", ms)
	}
	if err := b.growTopic(context.Background(), "t", 2, false); err != nil {
		t.Fatal(err)
	}
	if ms := b.Log("t", 1).Config().RetentionMs; ms != 2222 {
		t.Errorf("retention.ms of a partition that was being made is %d", ms)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dirsRig is the real binary on three data directories.
type dirsRig struct {
	t    *testing.T
	dirs []string
	addr string
	p    *process
	cl   *kgo.Client // its produce requests are not tried again
	adm  *kadm.Client
	id   kadm.TopicID // of t
}

// dirParts is how many partitions each topic has.
const dirParts = 9

func newDirsRig(t *testing.T) *dirsRig {
	r := &dirsRig{t: t, addr: freeAddr(t)}
	for range 3 {
		r.dirs = append(r.dirs, filepath.Join(t.TempDir(), "data"))
	}
	r.start()
	return r
}

func (r *dirsRig) start() {
	args := []string{"--listeners", "PLAINTEXT://" + r.addr, "--admin-listen", "off", "--segment-write", "mmap", "-c", "auto.create.topics.enable=false", "-c", "group.initial.rebalance.delay.ms=0"}
	for _, topic := range []string{"offsets.topic", "transaction.state.log"} {
		args = append(args, "-c", fmt.Sprintf("%s.num.partitions=%d", topic, dirParts))
	}
	for _, d := range r.dirs {
		args = append(args, "--data-dir", d)
	}
	r.p = serveProcess(r.t, args...)
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RequestRetries(0))
	if err != nil {
		r.t.Fatal(err)
	}
	r.cl, r.adm = cl, kadm.NewClient(cl)
}

func (r *dirsRig) stop() {
	r.t.Helper()
	r.cl.Close()
	if err := r.p.end(r.t, syscall.SIGTERM); err != nil {
		r.t.Errorf("after SIGTERM: %v\n%s", err, r.p.output())
	}
}

// where tells the directory of each partition of a topic, by its number.
func (r *dirsRig) where(topic string) map[int32]int {
	at := map[int32]int{}
	for i, d := range r.dirs {
		names, err := filepath.Glob(filepath.Join(d, "logs", topic+"-*"))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, n := range names {
			p, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(n), topic+"-"))
			if err == nil {
				at[int32(p)] = i
			}
		}
	}
	return at
}

// within is for one request: what hangs fails.
func (r *dirsRig) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.t.Context(), 2*time.Minute)
}

// produce sends a record to each partition of t and holds the answers against
// the directories that are gone.
func (r *dirsRig) produce(at map[int32]int, gone ...int) {
	r.t.Helper()
	for p, dir := range at {
		ctx, cancel := r.within()
		err := r.cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr()
		cancel()
		if isGone(dir, gone) != errors.Is(err, kerr.KafkaStorageError) || !isGone(dir, gone) && err != nil {
			r.t.Errorf("gone are %v; partition %d in %d: %v", gone, p, dir, err)
		}
	}
}

func isGone(dir int, gone []int) bool {
	for _, g := range gone {
		if g == dir {
			return true
		}
	}
	return false
}

// coordinate uses a group and a transactional id on each coordinator's
// partition: where that is gone, a Kafka error comes at once.
func (r *dirsRig) coordinate(gone ...int) {
	r.t.Helper()
	ctx, cancel := r.within()
	defer cancel()
	if len(gone) == 0 { // who asks for a coordinator makes the topics
		r.adm.FindGroupCoordinators(ctx, "id")
		r.adm.FindTxnCoordinators(ctx, "id")
	}
	offsets, txns := r.where("__consumer_offsets"), r.where("__transaction_state")
	good, bad := 0, 0
	for i := range 40 {
		id := fmt.Sprint("id-", i)
		p := int32(javaHash(id) % dirParts)
		for _, use := range []struct {
			what string
			dir  int
			use  func(string) error
		}{{"group", offsets[p], r.commit}, {"txn", txns[p], r.initProducer}} {
			err := use.use(id)
			for started := time.Now(); time.Since(started) < 30*time.Second && (errors.Is(err, kerr.CoordinatorLoadInProgress) || err != nil && !isGone(use.dir, gone)); {
				err = use.use(id) // it loads
			}
			var known *kerr.Error
			switch {
			case !isGone(use.dir, gone) && err == nil:
				good++
			case isGone(use.dir, gone) && errors.As(err, &known) && (known == kerr.NotCoordinator || known == kerr.CoordinatorNotAvailable):
				bad++
			default: // other errors end a client
				r.t.Errorf("gone are %v; %s %s on partition %d in %d: %v", gone, use.what, id, p, use.dir, err)
			}
		}
	}
	if good == 0 || (bad == 0) != (len(gone) == 0) {
		r.t.Errorf("gone are %v; %d coordinators answered, %d refused", gone, good, bad)
	}
}

// commit commits and fetches a group's offset, as a consumer without members does.
func (r *dirsRig) commit(group string) error {
	ctx, cancel := r.within()
	defer cancel()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = "t", r.id
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Offset = 1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, r.cl.SeedBrokers()[0])
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		return err
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fg := kmsg.NewOffsetFetchRequestGroup()
	fg.Group = group
	fetch.Groups = append(fetch.Groups, fg)
	got, err := fetch.RequestWith(ctx, r.cl.SeedBrokers()[0])
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(got.Groups[0].ErrorCode); err != nil {
		return err
	}
	if n := len(got.Groups[0].Topics); n != 1 {
		return fmt.Errorf("the committed offset of %s is not there", group)
	}
	return nil
}

func (r *dirsRig) initProducer(id string) error {
	ctx, cancel := r.within()
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr(id), 60_000
	resp, err := req.RequestWith(ctx, r.cl.SeedBrokers()[0])
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// javaHash is String.hashCode without its sign, by which coordinators are chosen.
func javaHash(s string) int32 {
	var h int32
	for _, c := range s {
		h = 31*h + c
	}
	return h & 0x7fffffff
}

// TestThreeDataDirs: one data directory fails while the broker runs, then one is
// missing when it starts. Only what lies in it is refused, with errors that
// clients try again; everything else goes on, and comes back with it.
func TestThreeDataDirs(t *testing.T) {
	r := newDirsRig(t)
	ctx, cancel := r.within()
	defer cancel()
	made, err := r.adm.CreateTopic(ctx, dirParts, 1, nil, "t")
	if err != nil {
		t.Fatal(err)
	}
	r.id = made.ID
	at := r.where("t")
	count := [3]int{}
	for _, d := range at {
		count[d]++
	}
	if len(at) != dirParts || max(count[0], count[1], count[2])-min(count[0], count[1], count[2]) > 1 {
		t.Errorf("the directories have %v of %d partitions", count, dirParts)
	}
	r.produce(at)
	r.coordinate()

	// A directory that fails: the file below the map of its hottest partition is
	// cut. The one of the metadata would take the broker along.
	victim := -1
	meta := r.where("__cluster_metadata")[0]
	var part int32
	for p, d := range at {
		if d != meta {
			victim, part = d, p
			break
		}
	}
	ctx, cancel = r.within()
	defer cancel()
	for failed := false; !failed; {
		for range 200 {
			if err := r.cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: part, Value: []byte("hot")}).FirstErr(); err != nil {
				if !errors.Is(err, kerr.KafkaStorageError) {
					t.Fatal(err)
				}
				failed = true
				break
			}
		}
		if err := os.Truncate(filepath.Join(r.dirs[victim], "logs", fmt.Sprint("t-", part), fmt.Sprintf("%020d.log", 0)), 0); err != nil {
			t.Fatal(err)
		}
	}
	r.produce(at, victim)
	r.coordinate(victim)
	dirs, err := r.adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, node := range dirs {
		for _, d := range node {
			if d.Err != nil {
				bad++
			}
		}
	}
	if bad != 1 {
		t.Errorf("DescribeLogDirs tells of %d directories that failed: %+v", bad, dirs)
	}
	if _, err := r.adm.CreateTopic(ctx, 2, 1, nil, "during"); err != nil {
		t.Error(err)
	}
	for p, d := range r.where("during") {
		if d == victim {
			t.Errorf("new partition %d went to the directory that failed", p)
		}
	}
	r.stop()

	// It comes back with the journal; then it is not there at a start.
	r.start()
	r.produce(at)
	r.coordinate()
	r.stop()
	dir := r.dirs[victim]
	if err := errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	r.start()
	if _, err := os.Stat(filepath.Join(dir+".away", "logs")); err != nil {
		t.Fatal(err)
	}
	r.dirs[victim] = dir + ".away" // to look into
	r.produce(at, victim)
	r.coordinate(victim)
	r.stop()
	r.dirs[victim] = dir
	if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.produce(at)
	r.coordinate()
	r.stop()
	if out := r.p.output(); strings.Contains(out, "panic") || strings.Contains(out, "BUG") {
		t.Errorf("the log tells of a panic:\n%s", out)
	}
}

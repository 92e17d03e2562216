package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupCheck is a run of consumer groups whose members join, leave and die
// while unique values go into their topic.
type GroupCheck struct {
	// Prefix names the topic and the groups.
	Prefix     string
	Partitions int32         // default 8
	Groups     int           // default 3: the protocols in turn
	Members    int           // of each group; default 4
	Rate       float64       // values/s; default 1,000
	Duration   time.Duration // default 30 s
	// Life is how long a member lives on average; KillRate the share of lives
	// that end without a word.
	Life     time.Duration // default 8 s
	KillRate float64
	// Drain is how long the groups may take to finish. Default 2 min: a KIP-848
	// member that died is missed after 45 s.
	Drain time.Duration
	Live  func(line string)
}

// groupProtocols are how a group's members are told to work, in turn.
var groupProtocols = []struct {
	name string
	opts []kgo.Opt
}{
	{"classic, cooperative-sticky", []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}},
	{"classic, range, one static member", []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}},
	{"consumer (KIP-848)", []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}},
}

// groupRun is the shared state of a check.
type groupRun struct {
	t       Target
	c       GroupCheck
	topic   string
	sent    atomic.Int64 // values given to the producer
	acked   atomic.Int64
	groups  []*groupHistory
	commits atomic.Int64 // that were refused or failed: no promise, but told
}

func (c GroupCheck) withDefaults() GroupCheck {
	if c.Prefix == "" {
		c.Prefix = fmt.Sprintf("verify-group-%d", time.Now().UnixNano())
	}
	if c.Partitions == 0 {
		c.Partitions = 8
	}
	for p, def := range map[*int]int{&c.Groups: 3, &c.Members: 4} {
		if *p == 0 {
			*p = def
		}
	}
	if c.Rate == 0 {
		c.Rate = 1000
	}
	for p, def := range map[*time.Duration]time.Duration{&c.Duration: 30 * time.Second, &c.Life: 8 * time.Second, &c.Drain: 2 * time.Minute} {
		if *p == 0 {
			*p = def
		}
	}
	return c
}

// VerifyGroup runs the check. The broker may be killed and started again while
// it runs: clients try again for as long as it takes.
func VerifyGroup(ctx context.Context, t Target, c GroupCheck) ([]*GroupVerdict, error) {
	c = c.withDefaults()
	r := &groupRun{t: t, c: c, topic: c.Prefix}
	if err := EnsureTopic(ctx, t, r.topic, c.Partitions); err != nil {
		return nil, err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make(chan error, c.Groups*c.Members+1)
	for g := range c.Groups {
		p := groupProtocols[g%len(groupProtocols)]
		h := newGroupHistory(fmt.Sprintf("%s-%d", c.Prefix, g), p.name)
		r.groups = append(r.groups, h)
		for m := range c.Members {
			opts := p.opts
			if m == 0 && g%len(groupProtocols) == 1 {
				opts = append(opts[:len(opts):len(opts)], kgo.InstanceID(h.v.Group+"-static"))
			}
			wg.Go(func() {
				if err := r.member(work, h, m, opts); err != nil {
					errs <- err
				}
			})
		}
	}
	wg.Go(func() {
		if err := r.observe(work); err != nil {
			errs <- err
		}
	})
	err := r.feed(ctx)
	if err == nil {
		err = r.drain(ctx)
	}
	stop()
	wg.Wait()
	select {
	case e := <-errs:
		err = errors.Join(err, e)
	default:
	}
	if err != nil {
		return nil, err
	}
	r.look(ctx)
	var verdicts []*GroupVerdict
	for _, h := range r.groups {
		verdicts = append(verdicts, h.verdict(r.acked.Load()))
	}
	return verdicts, nil
}

// feed sends the values; each is told to every group.
func (r *groupRun) feed(ctx context.Context) error {
	return feeder{r.t, r.topic, r.c.Rate, r.c.Duration, r.c.Drain, &r.sent, r.c.Live, r.progress}.run(ctx, func(rec *kgo.Record, n int64) {
		r.acked.Add(1)
		for _, h := range r.groups {
			h.produced(rec.Partition, rec.Offset, n)
		}
	})
}

func (r *groupRun) progress() string {
	s := fmt.Sprintf("%d values", r.acked.Load())
	for _, h := range r.groups {
		h.mu.Lock()
		s += fmt.Sprintf(", %s read %d (%d joined, %d killed)", h.v.Group[len(r.c.Prefix)+1:], h.v.Read, h.v.Joined, h.v.Killed)
		h.mu.Unlock()
	}
	return s + fmt.Sprintf(", %d commits refused", r.commits.Load())
}

// drain waits until every group has had every value, or the time is over.
func (r *groupRun) drain(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(r.c.Drain); time.Now().Before(end); {
		done := true
		for _, h := range r.groups {
			done = done && h.read() >= r.acked.Load()
		}
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// member fills one place of a group: when one client's life is over another
// takes it.
func (r *groupRun) member(ctx context.Context, h *groupHistory, n int, opts []kgo.Opt) error {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(time.Now().UnixNano())))
	for life := 0; ctx.Err() == nil; life++ {
		if err := r.live(ctx, h, fmt.Sprintf("%d.%d", n, life), rng, opts); err != nil {
			return fmt.Errorf("group %s, member %d: %w", h.v.Group, n, err)
		}
	}
	return nil
}

// live is the life of one client.
func (r *groupRun) live(ctx context.Context, h *groupHistory, name string, rng *rand.Rand, extra []kgo.Opt) error {
	each := func(do func(string, int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			for _, p := range parts[r.topic] {
				do(name, p)
			}
		}
	}
	dialer, opts := r.t.mortalClient(kgo.ConsumerGroup(h.v.Group), kgo.ConsumeTopics(r.topic), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(each(h.assigned)), kgo.OnPartitionsRevoked(each(h.revoked)), kgo.OnPartitionsLost(each(h.revoked)))
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return err
	}
	h.count(func(v *GroupVerdict) *int64 { return &v.Joined })
	// Lives differ, and some are much longer than others.
	life, cancel := context.WithTimeout(ctx, time.Duration(float64(r.c.Life)*(0.2+rng.ExpFloat64())))
	defer cancel()
	kill := rng.Float64() < r.c.KillRate
	for life.Err() == nil {
		fetches := client.PollRecords(life, 500)
		next := map[int32]int64{}
		fetches.EachRecord(func(rec *kgo.Record) {
			value, err := strconv.ParseInt(string(rec.Value), 10, 64)
			if err != nil {
				value = -1
			}
			h.polled(name, rec.Partition, rec.Offset, value, r.sent.Load())
			next[rec.Partition] = rec.Offset + 1
		})
		// A member that is killed dies with records that it has not committed.
		if len(next) > 0 && !(kill && life.Err() != nil) && rng.Float64() < 0.7 {
			r.commit(ctx, client, h, next)
		}
		client.AllowRebalance()
	}
	if kill && ctx.Err() == nil {
		dialer.cut()
		bury(client)
		h.count(func(v *GroupVerdict) *int64 { return &v.Killed })
		return nil
	}
	client.CloseAllowingRebalance()
	dialer.cut()
	h.count(func(v *GroupVerdict) *int64 { return &v.Left })
	return nil
}

// commit commits and tells the history what was acknowledged. A commit that is
// refused (a rebalance is under way) or fails (the broker is down) promises
// nothing; it may still have been made.
func (r *groupRun) commit(ctx context.Context, client *kgo.Client, h *groupHistory, next map[int32]int64) {
	offsets := map[int32]kgo.EpochOffset{}
	for p, at := range next {
		h.committing(p, at)
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{r.topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				r.commits.Add(1)
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					if p.ErrorCode == 0 {
						h.committed(p.Partition, next[p.Partition])
					} else {
						r.commits.Add(1)
					}
				}
			}
		})
}

// observe looks at the committed offsets from outside, twice a second.
func (r *groupRun) observe(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.look(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// look asks once for the committed offsets of every group. A broker that is
// down, or still loading its offsets, says nothing.
func (r *groupRun) look(ctx context.Context) {
	client, err := r.t.client(kgo.RetryTimeout(5 * time.Second))
	if err != nil {
		return
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, h := range r.groups {
		floors := h.floors()
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		got, err := admin.FetchOffsets(asked, h.v.Group)
		cancel()
		if err != nil {
			continue
		}
		for p, floor := range floors {
			o, ok := got.Lookup(r.topic, p)
			switch {
			case !ok:
				h.fetched(p, -1, floor)
			case o.Err == nil:
				h.fetched(p, o.At, floor)
			}
		}
	}
}

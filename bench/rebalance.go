package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka's error codes that a group's member lives with.
const (
	coordinatorLoading      = brokerError(14)
	coordinatorNotAvailable = brokerError(15)
	notCoordinator          = brokerError(16)
	unknownMemberID         = brokerError(25)
	rebalanceInProgress     = brokerError(27)
	memberIDRequired        = brokerError(79)
)

// groupMember is a member of a classic group on a connection of its own, or on
// one that it shares with others that wait for it.
type groupMember struct {
	c            *rawConn
	group, id    string
	generation   int32
	leader       bool
	ids          []string  // of all members, when it leads
	joined, done time.Time // when its last JoinGroup was sent, when its SyncGroup was answered
	session      time.Duration
}

// join joins, again if the broker gives the member its id first.
func (m *groupMember) join() error {
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.MemberID = 5, m.group, m.id
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(m.session.Milliseconds()), 60_000
		req.ProtocolType = "consumer"
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "bench"
		p.Metadata = []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff} // version 0, no topics, no user data
		req.Protocols = append(req.Protocols, p)
		m.joined = time.Now()
		resp, err := roundTrip[*kmsg.JoinGroupResponse](m.c, req, 90*time.Second)
		if err != nil {
			return err
		}
		m.id = resp.MemberID
		switch brokerError(resp.ErrorCode) {
		case 0:
			m.generation, m.leader = resp.Generation, resp.LeaderID == resp.MemberID
			m.ids = m.ids[:0]
			for _, other := range resp.Members {
				m.ids = append(m.ids, other.MemberID)
			}
			return nil
		case memberIDRequired:
		default:
			return fmt.Errorf("joining: %w", brokerError(resp.ErrorCode))
		}
	}
}

// sync asks for, or as the leader gives out, assignments of a few bytes.
func (m *groupMember) sync() error {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.Generation, req.MemberID = 3, m.group, m.generation, m.id
	if m.leader {
		for _, id := range m.ids {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = id, []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
	}
	resp, err := roundTrip[*kmsg.SyncGroupResponse](m.c, req, 90*time.Second)
	if err == nil && resp.ErrorCode != 0 {
		err = fmt.Errorf("syncing: %w", brokerError(resp.ErrorCode))
	}
	m.done = time.Now()
	return err
}

// enter joins and syncs until the member is part of a generation. A member that
// the broker does not know any more begins without its id, as every client
// does: Kafka's expiry deletes an empty group between a member's getting an id
// and its joining with it.
func (m *groupMember) enter(ctx context.Context) error {
	for {
		err := m.join()
		if err == nil {
			err = m.sync()
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, rebalanceInProgress):
		case errors.Is(err, unknownMemberID):
			m.id = ""
		default:
			return err
		}
	}
}

func (m *groupMember) heartbeat() error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.Generation, req.MemberID = 3, m.group, m.generation, m.id
	resp, err := roundTrip[*kmsg.HeartbeatResponse](m.c, req, 30*time.Second)
	if err == nil && resp.ErrorCode != 0 {
		err = brokerError(resp.ErrorCode)
	}
	return err
}

// Rebalance lets members form one group, then one more join it, and reports as
// the latency how long after the last JoinGroup of that rebalance each member
// had its assignment. Members learn of a rebalance by heartbeats, one each
// 100 ms.
func Rebalance(ctx context.Context, t Target, group string, members int) (*Result, error) {
	if members < 2 {
		return nil, fmt.Errorf("bench: %d members; a rebalance needs 2", members)
	}
	all := make([]*groupMember, members)
	defer func() {
		for _, m := range all {
			if m != nil && m.c != nil {
				m.c.close()
			}
		}
	}()
	for n := range all {
		c, err := t.coordinator(ctx, group)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", n, err)
		}
		all[n] = &groupMember{c: c, group: group, session: 5 * time.Minute}
	}
	r := newRun(t, Load{Topic: group})
	if err := r.readUsage(0); err != nil {
		return nil, err
	}
	if _, err := settle(ctx, all[:members-1]); err != nil {
		return nil, fmt.Errorf("forming a group of %d: %w", members-1, err)
	}
	began := time.Now()
	generation, err := settle(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("a member more than %d: %w", members-1, err)
	}
	if err := r.readUsage(1); err != nil {
		return nil, err
	}
	last := began
	for _, m := range all {
		if m.generation == generation && m.joined.After(last) {
			last = m.joined
		}
	}
	end := last
	for _, m := range all {
		r.hist.Record(m.done.Sub(last))
		if m.done.After(end) {
			end = m.done
		}
	}
	r.records.Store(int64(members))
	r.took = end.Sub(last)
	res := r.result("rebalance")
	res.Load = fmt.Sprintf("%d members of one group; %.3f s from the last member's first request until all had their assignment", members, end.Sub(began).Seconds())
	return res, nil
}

// settle lets every member heartbeat, and join again when it is told so, until
// all of them are in one generation.
func settle(ctx context.Context, all []*groupMember) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var mu sync.Mutex
	at := map[*groupMember]int32{} // mu; the generation of each
	together := make(chan struct{})
	var once sync.Once
	errs := make(chan error, len(all))
	for _, m := range all {
		go func() {
			errs <- func() error {
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for again := m.id == ""; ; {
					if again {
						if err := m.enter(ctx); err != nil {
							return err
						}
						mu.Lock()
						at[m] = m.generation
						same := len(at) == len(all)
						for _, g := range at {
							same = same && g == m.generation
						}
						mu.Unlock()
						if same {
							once.Do(func() { close(together) })
						}
					}
					select {
					case <-tick.C:
					case <-together:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
					err := m.heartbeat()
					if again = errors.Is(err, rebalanceInProgress); !again && err != nil {
						return fmt.Errorf("a heartbeat: %w", err)
					}
				}
			}()
		}()
	}
	var err error
	for range all {
		if e := <-errs; e != nil && err == nil {
			err = e
			cancel()
		}
	}
	return all[0].generation, err
}

// IdleGroups makes groups of one member each, over a few connections, and
// reports what the broker's memory grew by; the members stay in their groups
// for the session of half an hour.
func IdleGroups(ctx context.Context, t Target, prefix string, groups, connections int) (*Result, error) {
	if groups < 1 || connections < 1 {
		return nil, fmt.Errorf("bench: %d groups over %d connections; both must be at least 1", groups, connections)
	}
	// The coordinator's own topic is not part of what a group costs.
	c, err := t.coordinator(ctx, prefix)
	if err != nil {
		return nil, err
	}
	c.close()
	r := newRun(t, Load{Topic: "-", Producers: min(connections, groups), Records: int64(groups), Duration: time.Hour})
	err = r.all(ctx, func(ctx context.Context, n int) error {
		c, err := t.coordinator(ctx, fmt.Sprintf("%s-%d", prefix, n))
		if err != nil {
			return err
		}
		defer c.close()
		w := &worker{r: r, hist: NewLatency()}
		defer w.merge()
		for k := n; k < groups; k += r.load.Producers {
			due := time.Now()
			m := &groupMember{c: c, group: fmt.Sprintf("%s-%d", prefix, k), session: 30 * time.Minute}
			if err := m.enter(ctx); err != nil {
				return fmt.Errorf("group %d: %w", k, err)
			}
			w.done(due, time.Now(), 1, 0, nil)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res := r.result("groups")
	res.Load = fmt.Sprintf("%d groups of one idle member", groups)
	if t.PID != 0 {
		grown := r.usage[1].RSS - r.usage[0].RSS
		res.Broker.GrownMB = float64(grown) / 1e6
		res.Load += fmt.Sprintf("; broker +%.1f MB", res.Broker.GrownMB)
	}
	return res, nil
}

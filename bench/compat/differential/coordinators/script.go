package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The codes that say only that the moment is bad.
const (
	errLoading          = 14
	errNotAvailable     = 15
	errNotCoordinator   = 16
	errConcurrent       = 51
	errNotEnoughReplica = 19
)

func busy(code int16) bool {
	return code == errLoading || code == errNotAvailable || code == errNotCoordinator
}

// step chooses one operation and performs it.
func (r *run) step() {
	switch n := r.rand.IntN(100); {
	case n < 45:
		pick(r, r.groups).step(r)
	case n < 85:
		pick(r, r.txns).step(r)
	case n < 90:
		r.do(r.describeGroups())
	case n < 93:
		r.do(r.listGroups())
	case n < 97:
		r.do(r.describeTxns())
	default:
		r.do(r.listTxns())
	}
}

func pick[T any](r *run, of []T) T { return of[r.rand.IntN(len(of))] }

// some gives x with most of the weight, else one of the others.
func some[T any](r *run, x T, others ...T) T {
	if len(others) == 0 || r.rand.IntN(4) > 0 {
		return x
	}
	return pick(r, others)
}

// between is a version of an API.
func (r *run) between(low, high int16) int16 { return low + int16(r.rand.IntN(int(high-low)+1)) }

// begin prepares a run: topics that nobody else uses, and coordinators that
// have loaded.
func (r *run) begin() error {
	for i, partitions := range []int32{3, 2} {
		name := r.topic(i)
		for b := range brokers {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Version, req.TimeoutMillis = 7, 10000
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
			req.Topics = append(req.Topics, t)
			a := r.peers[b].ask(req)
			if a.resp == nil || a.resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode != 0 {
				return fmt.Errorf("%s does not make topic %s: %+v", brokerNames[b], name, a)
			}
			r.topics[b][name] = a.resp.(*kmsg.CreateTopicsResponse).Topics[0].TopicID
		}
	}
	// Producer id 0 is what fields without a value say, so nobody may have it.
	for b := range brokers {
		r.peers[b].ask(&kmsg.InitProducerIDRequest{Version: 4, TransactionTimeoutMillis: 1000, ProducerID: -1, ProducerEpoch: -1})
	}
	for i := range 3 {
		r.groups = append(r.groups, &groupScript{id: fmt.Sprintf("%s-g%d", r.label, i)})
		r.txns = append(r.txns, &txnScript{id: fmt.Sprintf("%s-t%d", r.label, i)})
	}
	r.do(r.led())
	for _, g := range r.groups {
		r.do(r.find(g.id, 0))
	}
	for _, t := range r.txns {
		r.do(r.find(t.id, 1))
		r.do(t.init(r, 4, false))
	}
	if len(r.found) > 0 {
		return fmt.Errorf("the preparation differs already: %v", r.found[0])
	}
	return nil
}

// led waits until the new topics have their logs.
func (r *run) led() *op {
	return &op{what: "wait for the topics", build: func(int) kmsg.Request {
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: r.topic(0), Partitions: []int32{0, 1, 2}}, {Topic: r.topic(1), Partitions: []int32{0, 1}}}
		return req
	}, again: func(resp kmsg.Response) bool {
		for _, t := range resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return true
				}
			}
		}
		return false
	}}
}

func (r *run) topic(i int) string { return fmt.Sprintf("%s-topic%d", r.label, i) }

// find asks for a coordinator, which makes it load.
func (r *run) find(key string, kind int8) *op {
	return &op{what: fmt.Sprintf("find %s %d", key, kind), build: func(int) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey, req.CoordinatorType = 3, key, kind
		return req
	}, again: func(resp kmsg.Response) bool { return busy(resp.(*kmsg.FindCoordinatorResponse).ErrorCode) }}
}

func (r *run) describeGroups() *op {
	version := r.between(0, 6)
	ids := []string{pick(r, r.groups).id, pick(r, r.groups).id, some(r, r.label+"-unknown", "")}
	return &op{reads: true, what: fmt.Sprintf("describe groups %q", ids), build: func(int) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups = version, ids
		return req
	}, trim: func(resp kmsg.Response) {
		for _, g := range r.groups {
			if !g.consumer {
				continue
			}
			for i := range resp.(*kmsg.DescribeGroupsResponse).Groups {
				for j := range resp.(*kmsg.DescribeGroupsResponse).Groups[i].Members {
					resp.(*kmsg.DescribeGroupsResponse).Groups[i].Members[j].MemberAssignment = nil // as flatten's Assignment
				}
			}
		}
	}}
}

func (r *run) listGroups() *op {
	version := r.between(0, 5)
	states := some(r, nil, []string{"Stable"}, []string{"empty", "Dead"}, []string{"PreparingRebalance", "Assigning"}, []string{"nonsense"})
	types := some(r, nil, []string{"classic"}, []string{"Consumer"}, []string{"nonsense"})
	return &op{reads: true, what: fmt.Sprintf("list groups %q %q", states, types), build: func(int) kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version = version
		if version >= 4 {
			req.StatesFilter = states
		}
		if version >= 5 {
			req.TypesFilter = types
		}
		return req
	}, trim: func(resp kmsg.Response) {
		got := resp.(*kmsg.ListGroupsResponse)
		got.Groups = slices.DeleteFunc(got.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return !strings.HasPrefix(g.Group, r.label) })
	}}
}

func (r *run) describeTxns() *op {
	ids := []string{pick(r, r.txns).id, some(r, r.label+"-unknown", "", pick(r, r.txns).id)}
	return &op{reads: true, what: fmt.Sprintf("describe transactions %q", ids), build: func(int) kmsg.Request {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = ids
		return req
	}}
}

func (r *run) listTxns() *op {
	version := r.between(0, 2)
	states := some(r, nil, []string{"Ongoing"}, []string{"CompleteCommit", "Empty"}, []string{"nonsense"})
	duration := some(r, int64(-1), 0, 3600000)
	pattern := some(r, r.label+"-.*", "", "[", r.label+"-t0")
	return &op{reads: true, what: fmt.Sprintf("list transactions v%d %q %d %q", version, states, duration, pattern), build: func(int) kmsg.Request {
		req := kmsg.NewPtrListTransactionsRequest()
		req.Version, req.StateFilters, req.DurationFilterMillis = version, states, -1
		if version >= 1 {
			req.DurationFilterMillis = duration
		}
		if version >= 2 {
			req.TransactionalIDPattern = &pattern
		}
		return req
	}, trim: func(resp kmsg.Response) {
		got := resp.(*kmsg.ListTransactionsResponse)
		got.TransactionStates = slices.DeleteFunc(got.TransactionStates, func(t kmsg.ListTransactionsResponseTransactionState) bool {
			return !strings.HasPrefix(t.TransactionalID, r.label)
		})
	}}
}

package group

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Reconciliation brings a member from what it has to its target, in the order
// that keeps every partition with one owner: first it gives up what it must
// not have (unrevoked) and says so by no longer listing it; only then does it
// move to the target's epoch and take what nobody else holds; what somebody
// still holds it waits for (unreleased). Kafka: CurrentAssignmentBuilder.

func (w *work) reconcile(now time.Time, m *consumerMember, epoch int32, target assignment, changed bool, ownedNow []kmsg.ConsumerGroupHeartbeatRequestTopic) *refusal {
	if !changed && m.reconciled(epoch) {
		return nil
	}
	img, _ := w.s.img()
	r := reconciliation{g: w.g, m: m, epoch: epoch, target: target, reports: ownedNow,
		subscribed: subscribedIDs(&m.sub, w.g.regexes, img)}
	next := r.next(changed)
	if !next.equal(&m.cur) {
		m.cur = next
		w.add(&currentChange{group: w.g.id, id: m.id, cur: next})
	}
	return nil
}

type reconciliation struct {
	g          *consumerGroup
	m          *consumerMember
	epoch      int32 // the target's
	target     assignment
	subscribed []topicID
	// reports is what the member says it owns; nil when it says nothing.
	reports []kmsg.ConsumerGroupHeartbeatRequestTopic
}

func (r *reconciliation) next(changed bool) current {
	cur := r.m.cur
	switch cur.state {
	case memberStable:
		switch {
		case cur.epoch != r.epoch:
			return r.toTarget()
		case changed:
			return r.withoutUnsubscribed()
		}
		return cur
	case memberUnrevoked:
		if !r.stillOwns(cur.revoking) {
			return r.toTarget()
		}
		if changed {
			return r.withoutUnsubscribed()
		}
		return cur
	}
	return r.toTarget()
}

// stillOwns reports whether the member lists, or might still have, any of o.
func (r *reconciliation) stillOwns(o owned) bool {
	if r.reports == nil {
		return true
	}
	for i := range r.reports {
		for _, p := range r.reports[i].Partitions {
			if _, ok := o.epoch(r.reports[i].TopicID, p); ok {
				return true
			}
		}
	}
	return false
}

func (r *reconciliation) subscribes(id topicID) bool {
	return slices.ContainsFunc(r.subscribed, func(s topicID) bool { return s == id })
}

// withoutUnsubscribed takes back the topics that the member has just dropped
// from its subscription; the rest waits for the next target.
func (r *reconciliation) withoutUnsubscribed() current {
	cur := r.m.cur
	assigned, revoking := owned{}, cur.revoking.clone()
	dropped := false
	for id, parts := range cur.assigned {
		if r.subscribes(id) {
			assigned[id] = parts
			continue
		}
		dropped = true
		if revoking[id] == nil {
			revoking[id] = map[int32]int32{}
		}
		maps.Copy(revoking[id], parts)
	}
	if !dropped {
		return cur
	}
	next := cur.at(cur.epoch)
	next.assigned = assigned
	if r.stillOwns(revoking) {
		next.state, next.revoking = memberUnrevoked, revoking
	}
	return next
}

// toTarget is the next step towards the target.
func (r *reconciliation) toTarget() current {
	cur := r.m.cur
	keep, revoke, gain := owned{}, owned{}, map[topicID][]int32{}
	waits := false
	for id, have := range cur.assigned {
		subscribed := r.subscribes(id)
		for p, since := range have {
			into := revoke
			if subscribed && r.target.has(id, p) {
				into = keep
			}
			if into[id] == nil {
				into[id] = map[int32]int32{}
			}
			into[id][p] = since
		}
	}
	for id, parts := range r.target {
		if !r.subscribes(id) {
			continue
		}
		for _, p := range parts {
			if _, ok := keep.epoch(id, p); ok {
				continue
			}
			_, own := cur.revoking.epoch(id, p)
			if r.g.ownerEpoch(id, p) != -1 && !own {
				waits = true
				continue
			}
			gain[id] = append(gain[id], p)
		}
	}
	if len(revoke) > 0 && r.stillOwns(revoke) {
		next := cur.at(cur.epoch)
		next.state, next.assigned, next.revoking = memberUnrevoked, keep, revoke
		return next
	}
	for id, parts := range gain {
		if keep[id] == nil {
			keep[id] = map[int32]int32{}
		}
		for _, p := range parts {
			keep[id][p] = r.epoch
		}
	}
	next := cur.at(r.epoch)
	next.state, next.assigned, next.revoking = memberStable, keep, nil
	if waits {
		next.state = memberUnreleased
	}
	return next
}

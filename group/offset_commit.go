package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetCommit v1 to v10.
//
//   - v0 meant offsets in ZooKeeper: UNSUPPORTED_VERSION, as Kafka 3.9 in KRaft mode.
//   - v2 to v4 carry a retention time of their own.
//   - v9 is for members of consumer groups: a member epoch, STALE_MEMBER_EPOCH,
//     GROUP_ID_NOT_FOUND instead of ILLEGAL_GENERATION.
//   - v10 names topics by id: UNKNOWN_TOPIC_ID.
//
// Topics unknown to the metadata are answered here.
//
// lead may be nil. A caller that gives one is told by it, before OffsetCommit
// returns, to call logstore.Store.Lead soon; few offsets are then committed
// without the shard's goroutine.
func (c *Coordinator) OffsetCommit(r *kmsg.OffsetCommitRequest, lead func(), done func(*kmsg.OffsetCommitResponse)) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	resp.Version = r.Version
	switch {
	case r.Version == 0:
		fillCommit(resp, r, codeUnsupportedVersion)
	case !recordable(r.Group):
		fillCommit(resp, r, codeInvalidGroupID)
	default:
		if offsetsIn(r) > maxOffsetsHere {
			lead = nil
		}
		c.runHere(r.Group, lead, func(s *state, now time.Time) error {
			s.commitOffsets(now, r, resp)
			s.out.Answer(func(err error) {
				if err != nil {
					fillCommit(resp, r, codeOf(err))
				}
				done(resp)
			})
			return nil
		}, func(code int16) {
			fillCommit(resp, r, code)
			done(resp)
		})
		return
	}
	done(resp)
}

// maxOffsetsHere is how many offsets are short work for an event loop: some
// 20 µs.
const maxOffsetsHere = 64

func offsetsIn(r *kmsg.OffsetCommitRequest) int {
	n := 0
	for i := range r.Topics {
		n += len(r.Topics[i].Partitions)
	}
	return n
}

// fillCommit answers every partition with one code.
func fillCommit(resp *kmsg.OffsetCommitResponse, r *kmsg.OffsetCommitRequest, code int16) {
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		resp.Topics[i] = kmsg.OffsetCommitResponseTopic{
			Topic: t.Topic, TopicID: t.TopicID,
			Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions)),
		}
		for j := range t.Partitions {
			resp.Topics[i].Partitions[j] = kmsg.OffsetCommitResponseTopicPartition{
				Partition: t.Partitions[j].Partition, ErrorCode: code,
			}
		}
	}
}

func (s *state) commitOffsets(now time.Time, r *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) {
	created := s.find(r.Group) == nil
	e, check, code := s.mayCommit(now, commitRequest{
		group: r.Group, member: r.MemberID, instance: r.InstanceID, epoch: r.Generation,
		version: r.Version, notFound: r.Version >= 9,
	})
	fillCommit(resp, r, code)
	if code != codeNone {
		return
	}
	img, _ := s.img()
	nowMs := now.UnixMilli()
	expire := noTimestamp
	if r.Version >= 2 && r.Version <= 4 && r.RetentionTimeMillis >= 0 {
		expire = nowMs + r.RetentionTimeMillis
	}
	unknown := codeUnknownTopicOrPartition
	if r.Version >= 10 {
		unknown = codeUnknownTopicID
	}
	// A member's zombie partition refuses the whole request, as in Kafka, so
	// that is seen before anything is written.
	if check != nil {
		for i := range r.Topics {
			name, id, ok := resolveTopic(img, r.Version >= 10, r.Topics[i].Topic, r.Topics[i].TopicID)
			for j := range r.Topics[i].Partitions {
				if !ok || s.longMetadata(r.Topics[i].Partitions[j].Metadata) {
					continue
				}
				if code := check(name, id, r.Topics[i].Partitions[j].Partition); code != codeNone {
					fillCommit(resp, r, code)
					return
				}
			}
		}
	}
	for i := range r.Topics {
		name, id, ok := resolveTopic(img, r.Version >= 10, r.Topics[i].Topic, r.Topics[i].TopicID)
		for j := range r.Topics[i].Partitions {
			p, out := &r.Topics[i].Partitions[j], &resp.Topics[i].Partitions[j]
			switch {
			case !ok:
				out.ErrorCode = unknown
			case s.longMetadata(p.Metadata):
				out.ErrorCode = codeOffsetMetadataTooLarge
			default:
				if expire != noTimestamp {
					id = topicID{} // the value's version 1 has no place for it
				}
				s.commitOne(e, topicPartition{name, p.Partition}, &committed{
					offset: p.Offset, leaderEpoch: leaderEpoch(r.Version, p.LeaderEpoch), metadata: text(p.Metadata),
					commitMs: commitTime(r.Version, p.Timestamp, nowMs), expireMs: expire, topicID: id,
				})
			}
		}
	}
	if created && len(e.offsets) == 0 {
		// A simple consumer's group comes into being with its first offset.
		e.classic = nil
		s.sweep(e)
	}
}

// commitOne writes and keeps one offset.
func (s *state) commitOne(e *group, at topicPartition, c *committed) {
	s.scratch = offsetKey(s.scratch[:0], e.id, at.topic, at.partition)
	n := len(s.scratch)
	s.scratch = appendOffset(s.scratch, c)
	s.out.Write(s.scratch[:n], s.scratch[n:])
	s.order++
	c.order = s.order
	s.putOffset(e, at, c)
	s.stats.commits.Add(1)
}

func leaderEpoch(version int16, epoch int32) int32 {
	if version < 6 {
		return -1
	}
	return epoch
}

// commitTime: v1 carries a timestamp of the client's.
func commitTime(version int16, given, nowMs int64) int64 {
	if version == 1 && given >= 0 {
		return given
	}
	return nowMs
}

func (s *state) longMetadata(m *string) bool {
	return m != nil && len(*m) > s.cfg().offsetMetadataMax
}

// resolveTopic finds a topic by name or by id. The name given back is the
// metadata's own string, so that offsets do not hold one each.
func resolveTopic(img catalog, byID bool, name string, id topicID) (string, topicID, bool) {
	t := img.Topic(name)
	if byID {
		t = img.TopicByID(id)
	}
	if t == nil {
		return name, id, false
	}
	return t.Name, t.ID, true
}

// commitRequest is what OffsetCommit and TxnOffsetCommit are checked by.
type commitRequest struct {
	group, member string
	instance      *string
	epoch         int32
	version       int16
	txn           bool
	// notFound: the version knows GROUP_ID_NOT_FOUND.
	notFound bool
}

// commitCheck refuses a partition that the member does not own, or owns since
// a later epoch than the commit's.
type commitCheck func(topic string, id topicID, partition int32) int16

// mayCommit finds the group and checks the member. A commit from outside of
// the group protocol to a group that does not exist makes it.
func (s *state) mayCommit(now time.Time, r commitRequest) (*group, commitCheck, int16) {
	e := s.find(r.group)
	if e == nil {
		switch {
		case r.epoch < 0 && len(s.groups) >= maxGroups:
			return nil, nil, codeCoordinatorNotAvailable
		case r.epoch < 0:
			e = s.entry(r.group)
			e.classic = newClassicGroup(r.group, s)
		case r.notFound:
			return nil, nil, codeGroupIDNotFound
		default:
			return nil, nil, codeIllegalGeneration
		}
	}
	if e.consumer != nil {
		check, code := e.consumer.mayCommit(r)
		return e, check, code
	}
	return e, nil, s.mayCommitClassic(now, e.classic, r)
}

func (s *state) mayCommitClassic(now time.Time, g *classicGroup, r commitRequest) int16 {
	if r.epoch < 0 && g.state == classicEmpty {
		return codeNone
	}
	switch {
	case r.epoch >= 0 || r.member != "" || r.instance != nil:
		if code := g.validate(r.member, r.instance); code != codeNone {
			return code
		}
		if r.epoch != g.generation {
			return codeIllegalGeneration
		}
	case !r.txn && g.state != classicEmpty:
		return codeUnknownMemberID
	}
	if r.txn {
		return codeNone
	}
	if g.state == classicCompleting {
		return codeRebalanceInProgress
	}
	if m := g.members[r.member]; m != nil {
		s.deadlines.Set(&m.heartbeat, now.Add(m.session))
	}
	return codeNone
}

// mayCommit checks a commit against a consumer group's member epochs (KIP-848).
func (g *consumerGroup) mayCommit(r commitRequest) (commitCheck, int16) {
	if r.epoch < 0 && len(g.members) == 0 {
		return nil, codeNone
	}
	if r.txn && r.epoch == -1 && r.member == "" && r.instance == nil {
		return nil, codeNone
	}
	m := g.members[r.member]
	switch {
	case m == nil:
		return nil, codeUnknownMemberID
	case !r.txn && !m.classic() && r.version < 9:
		return nil, codeUnsupportedVersion
	case r.epoch == m.cur.epoch:
		return nil, codeNone
	}
	stale := codeStaleMemberEpoch
	if m.classic() {
		stale = codeIllegalGeneration
	}
	if r.epoch > m.cur.epoch {
		return nil, stale
	}
	return func(_ string, id topicID, partition int32) int16 {
		since, ok := m.cur.assigned.epoch(id, partition)
		if !ok {
			since, ok = m.cur.revoking.epoch(id, partition)
		}
		if !ok || r.epoch < since {
			return stale
		}
		return codeNone
	}, codeNone
}

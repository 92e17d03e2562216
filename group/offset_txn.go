package group

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/logstore"
)

// TxnOffsetCommit v0 to v5: offsets that become visible with the
// transaction's marker. v3 checks the member (KIP-447), v5 belongs to
// transactions of version 2 (KIP-890).
//
// The log decides about the producer's epoch, so the batch is appended before
// the state changes. guard was taken from the log of the group's partition of
// __consumer_offsets before the transaction coordinator was asked.
func (c *Coordinator) TxnOffsetCommit(r *kmsg.TxnOffsetCommitRequest, guard logstore.Guard, done func(*kmsg.TxnOffsetCommitResponse)) {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	resp.Version = r.Version
	fail := func(code int16) {
		fillTxnCommit(resp, r, code)
		done(resp)
	}
	if !validGroup(r.Group) {
		fail(codeInvalidGroupID)
		return
	}
	c.run(r.Group, func(s *state, now time.Time) error {
		if err := s.commitTxnOffsets(now, r, guard, resp); err != nil {
			return err
		}
		s.out.Answer(func(err error) {
			if err != nil {
				fail(codeOf(err))
				return
			}
			done(resp)
		})
		return nil
	}, fail)
}

func fillTxnCommit(resp *kmsg.TxnOffsetCommitResponse, r *kmsg.TxnOffsetCommitRequest, code int16) {
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		resp.Topics[i] = kmsg.TxnOffsetCommitResponseTopic{
			Topic: t.Topic, TopicID: t.TopicID,
			Partitions: make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(t.Partitions)),
		}
		for j := range t.Partitions {
			resp.Topics[i].Partitions[j] = kmsg.TxnOffsetCommitResponseTopicPartition{
				Partition: t.Partitions[j].Partition, ErrorCode: code,
			}
		}
	}
}

// commitTxnOffsets gives ErrBusy when nothing has happened and it is to be run
// again; every other outcome is in resp.
func (s *state) commitTxnOffsets(now time.Time, r *kmsg.TxnOffsetCommitRequest, guard logstore.Guard, resp *kmsg.TxnOffsetCommitResponse) error {
	req := commitRequest{
		group: r.Group, member: r.MemberID, instance: r.InstanceID, epoch: r.Generation,
		version: r.Version, txn: true, notFound: r.Version >= 6,
	}
	if r.Version < 3 {
		req.epoch, req.member, req.instance = -1, "", nil
	}
	created := s.find(r.Group) == nil
	e, check, code := s.mayCommit(now, req)
	kept := false
	defer func() {
		if created && e != nil && !kept {
			e.classic = nil
			s.sweep(e)
		}
	}()
	if code == codeStaleMemberEpoch && r.Version < 6 {
		code = codeIllegalGeneration
	}
	fillTxnCommit(resp, r, code)
	if code != codeNone {
		return nil
	}
	img, _ := s.img()
	byID := r.Version >= 6
	unknown := codeUnknownTopicOrPartition
	if byID {
		unknown = codeUnknownTopicID
	}
	var box Outbox
	var names []topicPartition
	var offsets []*committed
	for i := range r.Topics {
		name, id, ok := resolveTopic(img, byID, r.Topics[i].Topic, r.Topics[i].TopicID)
		for j := range r.Topics[i].Partitions {
			p, out := &r.Topics[i].Partitions[j], &resp.Topics[i].Partitions[j]
			if !ok {
				out.ErrorCode = unknown
				continue
			}
			if s.longMetadata(p.Metadata) {
				out.ErrorCode = codeOffsetMetadataTooLarge
				continue
			}
			if check != nil {
				if code := check(name, id, p.Partition); code != codeNone {
					if code == codeStaleMemberEpoch && r.Version < 6 {
						code = codeIllegalGeneration
					}
					fillTxnCommit(resp, r, code)
					return nil
				}
			}
			c := &committed{
				offset: p.Offset, leaderEpoch: p.LeaderEpoch, metadata: text(p.Metadata),
				commitMs: now.UnixMilli(), expireMs: noTimestamp, topicID: id,
			}
			if r.Version < 2 {
				c.leaderEpoch = -1
			}
			at := topicPartition{name, p.Partition}
			box.Write(offsetKey(nil, e.id, at.topic, at.partition), appendOffset(nil, c))
			names, offsets = append(names, at), append(offsets, c)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if err := s.appendTxn(now, r.ProducerID, r.ProducerEpoch, guard, &box); err != nil {
		if errors.Is(err, logstore.ErrBusy) {
			return err
		}
		fillTxnCommit(resp, r, codeOf(err))
		return nil
	}
	kept = true
	for i, at := range names {
		s.order++
		offsets[i].order = s.order
		s.putPending(e, at, r.ProducerID, offsets[i])
		s.stats.commits.Add(1)
	}
	return nil
}

// CompleteTransaction appends the marker to a partition of __consumer_offsets
// and applies or drops the producer's pending offsets. done gets nil when it
// is durable; logstore's ErrProducerEpoch and ErrCoordinatorFenced are given
// as they are. v2: the marker is of transaction version 2 (see logstore.Append).
func (c *Coordinator) CompleteTransaction(partition int32, producerID int64, producerEpoch int16, coordinatorEpoch int32, commit, v2 bool, done func(error)) {
	c.runAt(partition, func(s *state, now time.Time) error {
		err := s.appendMarker(now, producerID, producerEpoch, coordinatorEpoch, commit, v2)
		if errors.Is(err, logstore.ErrBusy) {
			return err
		}
		if err != nil {
			done(err)
			return nil
		}
		s.endTransaction(producerID, commit)
		s.out.Answer(done)
		return nil
	}, done)
}

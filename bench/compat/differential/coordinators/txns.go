package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnScript is a transactional id with what its producer knows.
type txnScript struct {
	id   string
	next int32 // sequence in partition 0 of topic 0
}

// who gives the producer id and epoch of a request: the producer's own, or
// wrong ones.
func (t *txnScript) who(r *run) (what string, get func(b int) (int64, int16)) {
	own := func(b int) (int64, int16) { return r.longs[b][t.id], int16(r.nums[b][t.id]) }
	switch r.rand.IntN(12) {
	case 0:
		return "older epoch", func(b int) (int64, int16) {
			id, e := own(b)
			if e == 0 {
				return id, 1 // there is no older one
			}
			return id, e - 1
		}
	case 1:
		return "newer epoch", func(b int) (int64, int16) { id, e := own(b); return id, e + 1 }
	case 2:
		other := pick(r, r.txns)
		return "producer of " + other.id, func(b int) (int64, int16) { return r.longs[b][other.id], int16(r.nums[b][other.id]) }
	case 3:
		return "no producer", func(int) (int64, int16) { return -1, -1 }
	}
	return "own", own
}

func (t *txnScript) name(r *run) string {
	return some(r, t.id, t.id, t.id, t.id, r.label+"-nobody", "")
}

func (t *txnScript) step(r *run) {
	switch n := r.rand.IntN(100); {
	case n < 10:
		r.do(t.init(r, r.between(0, 5), r.rand.IntN(2) == 0))
	case n < 30:
		r.do(t.add(r))
	case n < 38:
		r.do(t.addOffsets(r))
	case n < 50:
		r.do(t.commitOffsets(r))
	case n < 70:
		r.do(t.produce(r))
	case n < 74:
		r.do(t.marker(r))
	case n < 78:
		r.do(t.producers(r))
	default:
		r.do(t.end(r))
		r.do(t.settled(r))
	}
}

func (t *txnScript) init(r *run, version int16, expect bool) *op {
	what, who := t.who(r)
	id := some(r, &t.id, &t.id, &t.id, &t.id, kmsg.StringPtr(""))
	timeout := some(r, int32(600000), 600000, 600000, 0, -1, 900001)
	if !expect {
		id, timeout = &t.id, 600000
	}
	return &op{what: fmt.Sprintf("init %q, expect %v (%s), timeout %d", *id, expect, what, timeout), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = version, id, timeout
		if expect && version >= 3 {
			req.ProducerID, req.ProducerEpoch = who(b)
		}
		return req
	}, keep: func(b int, resp kmsg.Response) {
		got := resp.(*kmsg.InitProducerIDResponse)
		if got.ErrorCode != 0 {
			return
		}
		if got.ProducerID != r.longs[b][t.id] || r.byLong[b][got.ProducerID] == "" {
			r.long(b, t.id, got.ProducerID)
		}
		r.nums[b][t.id] = int32(got.ProducerEpoch)
		t.next = 0
	}, again: func(resp kmsg.Response) bool {
		code := resp.(*kmsg.InitProducerIDResponse).ErrorCode
		return busy(code) || code == errConcurrent
	}}
}

// places are topics and partitions of a request, some of which are not there.
func (r *run) places() map[string][]int32 {
	out := map[string][]int32{r.topic(0): {0}}
	if r.rand.IntN(3) == 0 {
		out[r.topic(1)] = []int32{0, 1}
	}
	if r.rand.IntN(8) == 0 {
		out[r.topic(0)] = append(out[r.topic(0)], 7)
	}
	if r.rand.IntN(8) == 0 {
		out[r.label+"-nowhere"] = []int32{0}
	}
	return out
}

func (t *txnScript) add(r *run) *op {
	what, who := t.who(r)
	version, id, places, verify := r.between(0, 5), t.name(r), r.places(), r.rand.IntN(2) == 0
	return &op{what: fmt.Sprintf("add %v to %q (%s), verify %v", places, id, what, verify), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = version
		pid, epoch := who(b)
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly = id, pid, epoch, verify
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, pid, epoch
		for topic, partitions := range places {
			req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: topic, Partitions: partitions})
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: topic, Partitions: partitions})
		}
		if version >= 4 {
			req.Transactions = append(req.Transactions, one)
		}
		return req
	}, again: func(resp kmsg.Response) bool {
		got := resp.(*kmsg.AddPartitionsToTxnResponse)
		for _, topic := range got.Topics {
			for _, p := range topic.Partitions {
				if busy(p.ErrorCode) || p.ErrorCode == errConcurrent {
					return true
				}
			}
		}
		for _, txn := range got.Transactions {
			for _, topic := range txn.Topics {
				for _, p := range topic.Partitions {
					if busy(p.ErrorCode) || p.ErrorCode == errConcurrent {
						return true
					}
				}
			}
		}
		return false
	}}
}

func (t *txnScript) addOffsets(r *run) *op {
	what, who := t.who(r)
	version, id, group := r.between(0, 4), t.name(r), some(r, pick(r, r.groups).id, "")
	return &op{what: fmt.Sprintf("add offsets of %q to %q (%s)", group, id, what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version, req.TransactionalID, req.Group = version, id, group
		req.ProducerID, req.ProducerEpoch = who(b)
		return req
	}, again: func(resp kmsg.Response) bool {
		code := resp.(*kmsg.AddOffsetsToTxnResponse).ErrorCode
		return busy(code) || code == errConcurrent
	}}
}

func (t *txnScript) commitOffsets(r *run) *op {
	what, who := t.who(r)
	g := pick(r, r.groups)
	version, id, places, m := r.between(0, 5), t.name(r), r.places(), g.member(r)
	whose := m.identity(r)
	return &op{what: fmt.Sprintf("commit offsets %v of %s (%s) in %q (%s)", places, g.id, whose.what, id, what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Version, req.TransactionalID, req.Group = version, id, g.id
		req.ProducerID, req.ProducerEpoch = who(b)
		req.Generation = -1
		if version >= 3 {
			req.MemberID, req.Generation, req.InstanceID = whose.member(b), whose.generation(b), whose.instance
		}
		for topic, partitions := range places {
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rt.Topic = topic
			for _, p := range partitions {
				rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset, rp.LeaderEpoch = p, 7, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		return req
	}, again: func(resp kmsg.Response) bool {
		for _, topic := range resp.(*kmsg.TxnOffsetCommitResponse).Topics {
			for _, p := range topic.Partitions {
				if busy(p.ErrorCode) || p.ErrorCode == errConcurrent {
					return true
				}
			}
		}
		return false
	}}
}

func (t *txnScript) end(r *run) *op {
	what, who := t.who(r)
	version, id, commit := r.between(0, 5), t.name(r), r.rand.IntN(2) == 0
	return &op{what: fmt.Sprintf("end %q (%s), commit %v", id, what, commit), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.Version, req.TransactionalID, req.Commit = version, id, commit
		req.ProducerID, req.ProducerEpoch = who(b)
		return req
	}, keep: func(b int, resp kmsg.Response) {
		got := resp.(*kmsg.EndTxnResponse)
		if got.ErrorCode == 0 && version >= 5 && id == t.id {
			r.long(b, t.id, got.ProducerID)
			r.nums[b][t.id] = int32(got.ProducerEpoch)
			t.next = 0
		}
	}, again: func(resp kmsg.Response) bool {
		code := resp.(*kmsg.EndTxnResponse).ErrorCode
		return busy(code) || code == errConcurrent
	}}
}

// settled waits until no transaction of the id is being completed.
func (t *txnScript) settled(_ *run) *op {
	return &op{what: "wait for " + t.id, build: func(int) kmsg.Request {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{t.id}
		return req
	}, again: func(resp kmsg.Response) bool {
		s := resp.(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
		return busy(s.ErrorCode) || s.State == "PrepareCommit" || s.State == "PrepareAbort" || s.State == "PrepareEpochFence"
	}}
}

// produce writes a transactional batch (or, sometimes, a plain one of the same
// producer) to partition 0 of topic 0.
func (t *txnScript) produce(r *run) *op {
	what, who := t.who(r)
	version, id := r.between(3, 12), t.name(r)
	sequence := some(r, t.next, t.next+1, 0, t.next)
	// A transactional batch without a producer is left out: Kafka takes it, and no
	// marker will ever concern it; it is an INVALID_RECORD here.
	plain := r.rand.IntN(10) == 0 || what == "no producer"
	return &op{what: fmt.Sprintf("produce %d to %q (%s), plain %v", sequence, id, what, plain), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis, req.TransactionID = version, -1, 5000, &id
		pid, epoch := who(b)
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = batch(pid, epoch, sequence, !plain)
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic, rt.Partitions = r.topic(0), []kmsg.ProduceRequestTopicPartition{p}
		req.Topics = append(req.Topics, rt)
		return req
	}, keep: func(b int, resp kmsg.Response) {
		if b == kafka && resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode == 0 && what == "own" {
			t.next = max(t.next, sequence+1)
		}
	}, again: func(resp kmsg.Response) bool {
		code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		return busy(code) || code == errConcurrent || code == errNotEnoughReplica
	}}
}

// batch is one record "v" of a producer.
func batch(pid int64, epoch int16, sequence int32, transactional bool) []byte {
	rec := kmsg.NewRecord()
	rec.Value = []byte("v")
	body := rec.AppendTo(nil)[1:]
	rec.Length = int32(len(body))
	raw := rec.AppendTo(nil)
	b := kmsg.NewRecordBatch()
	// A producer whose batches are older than a day is forgotten by the one broker
	// sooner than by the other.
	now := time.Now().UnixMilli()
	b.Magic, b.PartitionLeaderEpoch, b.FirstTimestamp, b.MaxTimestamp = 2, -1, now, now
	b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.NumRecords = pid, epoch, sequence, 1
	if transactional {
		b.Attributes = 1 << 4
	}
	b.Records = raw
	b.Length = int32(49 + len(raw))
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// marker is a WriteTxnMarkers from a broker that is not the coordinator.
func (t *txnScript) marker(r *run) *op {
	what, who := t.who(r)
	version, places, commit := r.between(1, 2), r.places(), r.rand.IntN(2) == 0
	return &op{what: fmt.Sprintf("marker %v for %q (%s)", places, t.id, what), build: func(b int) kmsg.Request {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		req.Version = version
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch = who(b)
		if m.ProducerEpoch >= 0 {
			m.ProducerEpoch = -1 - m.ProducerEpoch // never one that ends what is open
		}
		m.Committed = commit
		for topic, partitions := range places {
			m.Topics = append(m.Topics, kmsg.WriteTxnMarkersRequestMarkerTopic{Topic: topic, Partitions: partitions})
		}
		req.Markers = append(req.Markers, m)
		return req
	}}
}

func (t *txnScript) producers(r *run) *op {
	places := r.places()
	return &op{what: fmt.Sprintf("describe producers %v", places), build: func(int) kmsg.Request {
		req := kmsg.NewPtrDescribeProducersRequest()
		for topic, partitions := range places {
			req.Topics = append(req.Topics, kmsg.DescribeProducersRequestTopic{Topic: topic, Partitions: partitions})
		}
		return req
	}}
}

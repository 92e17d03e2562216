package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/logstore"
)

// ListOffsets: v0–11.
//
// -1 latest (high watermark, or last stable offset under read_committed), -2
// earliest, -3 the record with the largest timestamp (v7+), -4 the earliest
// local offset (v8+; the log start, without tiered storage), -5 the last
// tiered offset (v9+; none), -6 the earliest offset that waits for upload
// (v11+; none). v0 lists offsets at segment boundaries, which is answered with
// the one offset that matters; for a time that no record has reached that is the
// end (UnifiedLog.legacyFetchOffsetsBefore of 3.9), where later versions find
// nothing: clients of v0 take an empty list for an error.
var listOffsetsAPI = api{
	key: keyListOffsets, name: "ListOffsets", min: 0, max: 11, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleListOffsets),
}

const (
	timeLatest          = -1
	timeEarliest        = -2
	timeMax             = -3
	timeEarliestLocal   = -4
	timeLatestTiered    = -5
	timeEarliestPending = -6
)

func handleListOffsets(rq *request, r *kmsg.ListOffsetsRequest) kmsg.Response {
	count := 0
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			count++
			if ts := r.Topics[i].Partitions[j].Timestamp; ts >= 0 || ts == timeMax {
				count += metadataOnLoop // a search may read cold pages
			}
		}
	}
	if count > metadataOnLoop {
		return rq.offload(func() kmsg.Response { return rq.listOffsets(r) })
	}
	return rq.listOffsets(r)
}

func (rq *request) listOffsets(r *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	type key struct {
		topic string
		index int32
	}
	times := map[key]int{}
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			times[key{r.Topics[i].Topic, r.Topics[i].Partitions[j].Partition}]++
		}
	}
	at := map[string]int{} // where a topic stands in the answer
	for i := range r.Topics {
		in := &r.Topics[i]
		if len(in.Partitions) == 0 {
			continue
		}
		if _, ok := at[in.Topic]; !ok {
			at[in.Topic] = len(resp.Topics)
			resp.Topics = append(resp.Topics, kmsg.ListOffsetsResponseTopic{Topic: in.Topic})
		}
		out := &resp.Topics[at[in.Topic]]
		may := rq.mayTopic(auth.OpDescribe, in.Topic)
		t := rq.s.b.topics.get(in.Topic)
		for j := range in.Partitions {
			q := &in.Partitions[j]
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition, p.Offset, p.Timestamp, p.LeaderEpoch = q.Partition, -1, -1, -1
			if times[key{in.Topic, q.Partition}] == 0 {
				continue // answered
			}
			switch {
			case r.IsolationLevel < 0 || r.IsolationLevel > 1:
				p.ErrorCode = errUnknownServer // what Kafka makes of IsolationLevel.forId
			case !may:
				p.ErrorCode = errTopicAuthorization
			case times[key{in.Topic, q.Partition}] > 1:
				p.ErrorCode = errInvalidRequest // the same partition twice
				times[key{in.Topic, q.Partition}] = 0
			case t == nil || t.partition(q.Partition) == nil:
				p.ErrorCode = errUnknownTopicOrPartition
			default:
				rq.listOffset(t.partition(q.Partition), q, r.IsolationLevel == 1, &p)
			}
			rq.failed = rq.failed || p.ErrorCode != errNone
			out.Partitions = append(out.Partitions, p)
		}
	}
	return resp
}

// listOffset answers one partition.
func (rq *request) listOffset(p *partition, q *kmsg.ListOffsetsRequestTopicPartition, committed bool, out *kmsg.ListOffsetsResponseTopicPartition) {
	if out.ErrorCode = checkEpoch(q.CurrentLeaderEpoch, p.log.Epoch()); out.ErrorCode != errNone {
		return
	}
	o := p.log.Offsets()
	limit := o.HighWatermark
	if committed {
		limit = o.LastStable
	}
	// A version that does not know a special value: UNSUPPORTED_VERSION.
	least := map[int64]int16{timeMax: 7, timeEarliestLocal: 8, timeLatestTiered: 9, timeEarliestPending: 11}[q.Timestamp]
	if q.Timestamp < timeEarliestPending || rq.version < least {
		out.ErrorCode = errUnsupportedVersion
		return
	}
	var err error
	switch q.Timestamp {
	case timeLatest:
		out.Offset, out.LeaderEpoch = limit, p.log.Epoch()
	case timeEarliest, timeEarliestLocal:
		out.Offset, out.LeaderEpoch = o.LogStart, epochOrNone(p.log, o.LogStart, limit)
	case timeLatestTiered, timeEarliestPending:
	case timeMax:
		err = found(out, limit)(p.log.MaxTimestamp())
	default:
		err = found(out, limit)(p.log.OffsetForTime(q.Timestamp, limit))
	}
	if err != nil {
		out.ErrorCode, out.Offset, out.Timestamp, out.LeaderEpoch = codeOf(err), -1, -1, -1
	}
	if rq.version == 0 && out.ErrorCode == errNone {
		if out.Offset < 0 {
			out.Offset = limit
		}
		out.OldStyleOffsets = oldStyle(q, out.Offset, o)
	}
}

// epochOrNone is the epoch of the offset, or of the log when nothing is there.
func epochOrNone(log *logstore.Log, offset, limit int64) int32 {
	if offset < limit {
		if e := log.EpochAt(offset); e >= 0 {
			return e
		}
	}
	return log.Epoch()
}

// found fills the answer of a search, unless what it found may not be seen yet.
func found(out *kmsg.ListOffsetsResponseTopicPartition, limit int64) func(logstore.TimeOffset, bool, error) error {
	return func(at logstore.TimeOffset, ok bool, err error) error {
		if err == nil && ok && at.Offset < limit {
			out.Offset, out.Timestamp, out.LeaderEpoch = at.Offset, at.Timestamp, at.LeaderEpoch
		}
		return err
	}
}

// oldStyle is v0's list of offsets, newest first.
func oldStyle(q *kmsg.ListOffsetsRequestTopicPartition, offset int64, o logstore.Offsets) []int64 {
	list := []int64{offset}
	if q.Timestamp == timeLatest && offset != o.LogStart {
		list = append(list, o.LogStart)
	}
	return list[:min(len(list), int(max(q.MaxNumOffsets, 0)))]
}

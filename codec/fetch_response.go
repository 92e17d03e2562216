package codec

// FetchAborted is an entry of the aborted list.
type FetchAborted struct{ ProducerID, FirstOffset int64 }

// FetchResult is one partition's answer; its records follow as RecordBytes
// bytes that the writer leaves out.
type FetchResult struct {
	Partition        int32
	ErrorCode        int16
	HighWatermark    int64
	LastStableOffset int64 // v4+
	LogStartOffset   int64 // v5+
	// Aborted (v4+) is nil for null (read_uncommitted) and empty for none.
	Aborted              []FetchAborted
	PreferredReadReplica int32 // v11+; -1 for none
	// DivergingEpoch and DivergingEndOffset (v12+): -1 for none.
	DivergingEpoch     int32
	DivergingEndOffset int64
	// CurrentLeaderID and CurrentLeaderEpoch (v12+) are written with ErrorCode
	// NOT_LEADER_OR_FOLLOWER or FENCED_LEADER_EPOCH and CurrentLeaderID >= 0 only.
	CurrentLeaderID    int32
	CurrentLeaderEpoch int32
	// RecordBytes is the length of the records; -1 for null.
	RecordBytes int64
}

// FetchResponseWriter appends the literal parts of a Fetch response. After
// Partition the caller notes len(Bytes()) as the place of the records, and the
// rest of the partition follows by itself before the next piece. Counts are
// announced before they are written, and trusted. One goroutine.
type FetchResponseWriter struct {
	dst      []byte
	version  int16
	flexible bool
	inTopic  bool // a topic's tag section is still to be written

	// What stands behind the records of the partition written last.
	inPartition        bool
	divergingEpoch     int32
	divergingEndOffset int64
	leaderID           int32
	leaderEpoch        int32
}

// NewFetchResponse starts a response in dst (header already there). errorCode
// and sessionID are written from v7 on, throttleMillis from v1 on.
func NewFetchResponse(dst []byte, version int16, throttleMillis int32, errorCode int16, sessionID int32, topics int) FetchResponseWriter {
	flexible := version >= fetchFlexible
	if version >= 1 {
		dst = appendInt32(dst, throttleMillis)
	}
	if version >= 7 {
		dst = appendInt16(dst, errorCode)
		dst = appendInt32(dst, sessionID)
	}
	return FetchResponseWriter{
		dst:      appendCount(dst, flexible, int64(topics)),
		version:  version,
		flexible: flexible,
	}
}

// Topic begins a topic with so many partitions.
func (w *FetchResponseWriter) Topic(t TopicRef, partitions int) {
	w.endTopic()
	w.dst = appendTopicRef(w.dst, w.flexible, w.version >= firstTopicID, &t)
	w.dst = appendCount(w.dst, w.flexible, int64(partitions))
	w.inTopic = true
}

func (w *FetchResponseWriter) endTopic() {
	w.endPartition()
	if w.inTopic {
		w.dst = appendEmptyTags(w.dst, w.flexible)
		w.inTopic = false
	}
}

// Partition writes one partition up to and including the length of its
// records. Whatever the format has behind the records is written by the next
// call. r is not kept.
func (w *FetchResponseWriter) Partition(r *FetchResult) {
	w.endPartition()
	dst := appendInt32(w.dst, r.Partition)
	dst = appendInt16(dst, r.ErrorCode)
	dst = appendInt64(dst, r.HighWatermark)
	if w.version >= 4 {
		dst = appendInt64(dst, r.LastStableOffset)
		if w.version >= 5 {
			dst = appendInt64(dst, r.LogStartOffset)
		}
		if r.Aborted == nil {
			dst = appendCount(dst, w.flexible, -1)
		} else {
			dst = appendCount(dst, w.flexible, int64(len(r.Aborted)))
		}
		for i := range r.Aborted {
			dst = appendInt64(dst, r.Aborted[i].ProducerID)
			dst = appendInt64(dst, r.Aborted[i].FirstOffset)
			dst = appendEmptyTags(dst, w.flexible)
		}
	}
	if w.version >= 11 {
		dst = appendInt32(dst, r.PreferredReadReplica)
	}
	w.dst = appendCount(dst, w.flexible, r.RecordBytes)

	w.inPartition = true
	w.divergingEpoch, w.divergingEndOffset = r.DivergingEpoch, r.DivergingEndOffset
	w.leaderID, w.leaderEpoch = -1, -1
	if r.ErrorCode == errNotLeaderOrFollower || r.ErrorCode == errFencedLeaderEpoch {
		w.leaderID, w.leaderEpoch = r.CurrentLeaderID, r.CurrentLeaderEpoch
	}
}

// endPartition writes the tag section behind the records.
func (w *FetchResponseWriter) endPartition() {
	if !w.inPartition {
		return
	}
	w.inPartition = false
	if !w.flexible {
		return
	}
	diverging, leader := w.divergingEpoch >= 0, w.leaderID >= 0
	tags := byte(0)
	if diverging {
		tags++
	}
	if leader {
		tags++
	}
	dst := append(w.dst, tags)
	if diverging {
		// Key 0, thirteen bytes of epoch, end offset and its own empty tags.
		dst = append(dst, 0, 13)
		dst = appendInt32(dst, w.divergingEpoch)
		dst = appendInt64(dst, w.divergingEndOffset)
		dst = append(dst, 0)
	}
	if leader {
		dst = append(dst, 1, 9)
		dst = appendInt32(dst, w.leaderID)
		dst = appendInt32(dst, w.leaderEpoch)
		dst = append(dst, 0)
	}
	w.dst = dst
}

// Bytes is what is written so far; the records go to its end. It is valid
// until the next call.
func (w *FetchResponseWriter) Bytes() []byte { return w.dst }

// Finish closes the response and returns dst. endpoints are the node endpoints
// of v16+ (KIP-951), usually none.
func (w *FetchResponseWriter) Finish(endpoints []Endpoint) []byte {
	w.endTopic()
	if w.version >= 16 && len(endpoints) > 0 {
		w.dst = append(w.dst, 1)
		w.dst = appendEndpoints(w.dst, endpoints)
	} else {
		w.dst = appendEmptyTags(w.dst, w.flexible)
	}
	return w.dst
}

package codec

// Kafka's error codes that come with a hint of the current leader (KIP-951).
const (
	errNotLeaderOrFollower = 6
	errFencedLeaderEpoch   = 74
)

// ProduceResult is one partition's answer.
type ProduceResult struct {
	Partition      int32
	ErrorCode      int16
	BaseOffset     int64
	LogAppendTime  int64                // v2+; -1 for CreateTime
	LogStartOffset int64                // v5+
	RecordErrors   []ProduceRecordError // v8+
	ErrorMessage   string               // v8+; empty is null
	// CurrentLeaderID and CurrentEpoch (v10+) are written with ErrorCode
	// NOT_LEADER_OR_FOLLOWER and CurrentLeaderID >= 0 only.
	CurrentLeaderID int32
	CurrentEpoch    int32
}

// ProduceRecordError is a refused record.
type ProduceRecordError struct {
	Index   int32
	Message string // empty is null
}

// ProduceResponseWriter appends a Produce response. Topics and partitions are
// announced with their counts before they are written; the writer trusts the
// counts. One goroutine.
type ProduceResponseWriter struct {
	dst      []byte
	version  int16
	flexible bool
	inTopic  bool // a topic's tag section is still to be written
}

// NewProduceResponse starts a response in dst (header already there).
func NewProduceResponse(dst []byte, version int16, topics int) ProduceResponseWriter {
	flexible := version >= produceFlexible
	return ProduceResponseWriter{
		dst:      appendCount(dst, flexible, int64(topics)),
		version:  version,
		flexible: flexible,
	}
}

// Topic begins a topic with so many partitions.
func (w *ProduceResponseWriter) Topic(t TopicRef, partitions int) {
	w.endTopic()
	w.dst = appendTopicRef(w.dst, w.flexible, w.version >= firstTopicID, &t)
	w.dst = appendCount(w.dst, w.flexible, int64(partitions))
	w.inTopic = true
}

func (w *ProduceResponseWriter) endTopic() {
	if w.inTopic {
		w.dst = appendEmptyTags(w.dst, w.flexible)
		w.inTopic = false
	}
}

// Partition writes one partition of the topic begun last. r is not kept.
func (w *ProduceResponseWriter) Partition(r *ProduceResult) {
	dst := appendInt32(w.dst, r.Partition)
	dst = appendInt16(dst, r.ErrorCode)
	dst = appendInt64(dst, r.BaseOffset)
	if w.version >= 2 {
		dst = appendInt64(dst, r.LogAppendTime)
	}
	if w.version >= 5 {
		dst = appendInt64(dst, r.LogStartOffset)
	}
	if w.version >= 8 {
		dst = appendCount(dst, w.flexible, int64(len(r.RecordErrors)))
		for i := range r.RecordErrors {
			dst = appendInt32(dst, r.RecordErrors[i].Index)
			dst = appendNullableString(dst, w.flexible, r.RecordErrors[i].Message)
			dst = appendEmptyTags(dst, w.flexible)
		}
		dst = appendNullableString(dst, w.flexible, r.ErrorMessage)
	}
	if w.version >= 10 && r.ErrorCode == errNotLeaderOrFollower && r.CurrentLeaderID >= 0 {
		// One tag: key 0, nine bytes of leader, epoch and its own empty tags.
		dst = append(dst, 1, 0, 9)
		dst = appendInt32(dst, r.CurrentLeaderID)
		dst = appendInt32(dst, r.CurrentEpoch)
		dst = append(dst, 0)
	} else {
		dst = appendEmptyTags(dst, w.flexible)
	}
	w.dst = dst
}

// Finish closes the response and returns dst. endpoints are the node endpoints
// of v10+ (KIP-951), usually none.
func (w *ProduceResponseWriter) Finish(throttleMillis int32, endpoints []Endpoint) []byte {
	w.endTopic()
	if w.version >= 1 {
		w.dst = appendInt32(w.dst, throttleMillis)
	}
	if w.version >= 10 && len(endpoints) > 0 {
		w.dst = append(w.dst, 1)
		w.dst = appendEndpoints(w.dst, endpoints)
	} else {
		w.dst = appendEmptyTags(w.dst, w.flexible)
	}
	return w.dst
}

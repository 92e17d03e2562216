package codec

import "errors"

// This file fixes the package's surface before its insides exist; each piece
// moves to its own file with its implementation.

type bufferState struct{}

// NewBuffer gives a buffer with len(B) == n from the pool of n's size class.
// Any goroutine.
func NewBuffer(n int) *Buffer { return &Buffer{B: make([]byte, n)} }

// Release returns the buffer to its pool.
func (b *Buffer) Release() {}

// ErrMalformed is wrapped by every error of a request that cannot be parsed;
// the connection is to be closed.
var ErrMalformed = errors.New("codec: the request is malformed")

// RequestHeader is a parsed request header (v0, v1 or v2, chosen by key and version).
type RequestHeader struct {
	Key           int16
	Version       int16
	CorrelationID int32
	// ClientID aliases the frame; empty for null.
	ClientID []byte
}

// ParseHeader parses the header of a frame (without length prefix) and returns
// the body that follows, aliasing the frame. flexible says whether (key,
// version) has a flexible header; an unknown key is parsed as header v1.
func ParseHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	return h, nil, ErrMalformed
}

// FirstFlexible is the first flexible version of a request, or -1 for never.
func FirstFlexible(key int16) int16 { return -1 }

// MaxVersion is the newest version that the codec can encode and decode, or -1.
func MaxVersion(key int16) int16 { return -1 }

// AppendResponseHeader appends four zero bytes for the length, the correlation
// id and, for flexible versions but ApiVersions, an empty tag section. Finish
// with FinishResponse.
func AppendResponseHeader(dst []byte, key, version int16, correlationID int32) []byte { return dst }

// FinishResponse writes the length prefix of a response that starts at dst[0]
// and whose file ranges hold extra bytes more.
func FinishResponse(dst []byte, extra int64) {}

// Guard walks a request body by its schema without allocating and reports
// ErrMalformed when an array or tag count cannot fit the bytes that are left,
// so that kmsg may decode it. (The walk may be coarser than the schema as long
// as kmsg is then bounded in time and memory.)
func Guard(key, version int16, body []byte) error { return nil }

// TopicRef names a topic in a hot-path request: Name aliases the request and
// is empty when the version carries ids.
type TopicRef struct {
	Name []byte
	ID   [16]byte
}

// ProduceRequest is the fixed part of a Produce request, v3 to v13 (v0 to v2
// too: TransactionalID is then null).
type ProduceRequest struct {
	// TransactionalID aliases the body; nil when null.
	TransactionalID []byte
	Acks            int16
	TimeoutMillis   int32
	// Topics is the number of topics; Partitions of all partitions.
	Topics, Partitions int
}

// ProducePartition is one partition's records in a Produce request.
type ProducePartition struct {
	Topic TopicRef
	// FirstOfTopic is true on a topic's first partition.
	FirstOfTopic bool
	Partition    int32
	// Records aliases the body, is nil when null, and may be patched in place.
	Records []byte
}

// ProduceIter walks the partitions of a Produce request without allocating.
type ProduceIter struct{}

// ParseProduce checks the whole body once, so that the iterator cannot fail.
func ParseProduce(version int16, body []byte) (ProduceRequest, ProduceIter, error) {
	return ProduceRequest{}, ProduceIter{}, ErrMalformed
}

// Next gives the next partition; topics without partitions are passed over.
func (it *ProduceIter) Next() (p ProducePartition, ok bool) { return p, false }

// ProduceResult is one partition's answer.
type ProduceResult struct {
	Partition       int32
	ErrorCode       int16
	BaseOffset      int64
	LogAppendTime   int64 // -1 for CreateTime
	LogStartOffset  int64
	RecordErrors    []ProduceRecordError // v8+
	ErrorMessage    string               // v8+; empty is null
	CurrentLeaderID int32                // v10+, with ErrorCode NOT_LEADER; otherwise -1
	CurrentEpoch    int32
}

// ProduceRecordError is a refused record.
type ProduceRecordError struct {
	Index   int32
	Message string
}

// ProduceResponseWriter appends a Produce response. Topics and partitions are
// announced with their counts before they are written.
type ProduceResponseWriter struct{}

// NewProduceResponse starts a response in dst (header already there).
func NewProduceResponse(dst []byte, version int16, topics int) ProduceResponseWriter {
	return ProduceResponseWriter{}
}
func (w *ProduceResponseWriter) Topic(t TopicRef, partitions int) {}
func (w *ProduceResponseWriter) Partition(r *ProduceResult)       {}

// Finish closes the response and returns dst. endpoints are the node endpoints
// of v10+ (KIP-951), usually none.
func (w *ProduceResponseWriter) Finish(throttleMillis int32, endpoints []Endpoint) []byte {
	return nil
}

// Endpoint is a broker's address.
type Endpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string // empty is null
}

// FetchRequest is the fixed part of a Fetch request, v0 to v18.
type FetchRequest struct {
	ReplicaID     int32
	MaxWaitMillis int32
	MinBytes      int32
	MaxBytes      int32 // v3+; otherwise math.MaxInt32
	Committed     bool  // isolation level read_committed (v4+)
	SessionID     int32 // v7+; otherwise 0
	SessionEpoch  int32 // v7+; otherwise -1
	Rack          []byte
	ClusterID     []byte
	Topics        int
	Partitions    int
	Forgotten     int // partitions in the forgotten list
}

// FetchPartition is one partition of a Fetch request.
type FetchPartition struct {
	Topic              TopicRef
	FirstOfTopic       bool
	Partition          int32
	CurrentLeaderEpoch int32 // -1 when absent
	Offset             int64
	LastFetchedEpoch   int32 // -1 when absent
	LogStartOffset     int64 // -1 when absent
	MaxBytes           int32
}

// ForgottenPartition is one entry of the forgotten list (v7+).
type ForgottenPartition struct {
	Topic     TopicRef
	Partition int32
}

// FetchIter walks a Fetch request without allocating.
type FetchIter struct{}

// ParseFetch checks the whole body once, so that the iterator cannot fail.
func ParseFetch(version int16, body []byte) (FetchRequest, FetchIter, error) {
	return FetchRequest{}, FetchIter{}, ErrMalformed
}
func (it *FetchIter) Next() (p FetchPartition, ok bool)              { return p, false }
func (it *FetchIter) NextForgotten() (p ForgottenPartition, ok bool) { return p, false }

// FetchAborted is an entry of the aborted list.
type FetchAborted struct{ ProducerID, FirstOffset int64 }

// FetchResult is one partition's answer; its records follow as RecordBytes
// bytes that the writer leaves out.
type FetchResult struct {
	Partition        int32
	ErrorCode        int16
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	// Aborted is nil for null (read_uncommitted) and empty for none.
	Aborted              []FetchAborted
	PreferredReadReplica int32 // -1 for none
	DivergingEpoch       int32 // -1 for none
	DivergingEndOffset   int64
	CurrentLeaderID      int32 // -1 for none
	CurrentLeaderEpoch   int32
	// RecordBytes is the length of the records; -1 for null.
	RecordBytes int64
}

// FetchResponseWriter appends the literal parts of a Fetch response. After
// Partition the caller notes len(Bytes()) as the place of the records, and the
// rest of the partition follows by itself before the next piece.
type FetchResponseWriter struct{}

// NewFetchResponse starts a response in dst (header already there).
func NewFetchResponse(dst []byte, version int16, throttleMillis int32, errorCode int16, sessionID int32, topics int) FetchResponseWriter {
	return FetchResponseWriter{}
}
func (w *FetchResponseWriter) Topic(t TopicRef, partitions int) {}

// Partition writes one partition up to and including the length of its
// records. Whatever the format has behind the records is written by the next
// call.
func (w *FetchResponseWriter) Partition(r *FetchResult) {}

// Bytes is what is written so far; the records go to its end.
func (w *FetchResponseWriter) Bytes() []byte { return nil }

// Finish closes the response and returns dst.
func (w *FetchResponseWriter) Finish(endpoints []Endpoint) []byte { return nil }

package codec

import "math"

const (
	keyFetch = 1
	// fetchFlexible is the first flexible version of Fetch.
	fetchFlexible = 12
)

// FetchRequest is the fixed part of a Fetch request, v0 to v18.
type FetchRequest struct {
	// ReplicaID is -1 for a consumer. From v15 on it is the id in the replica
	// state tag, and ReplicaEpoch is its epoch (-1 when absent).
	ReplicaID     int32
	ReplicaEpoch  int64
	MaxWaitMillis int32
	MinBytes      int32
	MaxBytes      int32 // v3+; otherwise math.MaxInt32
	Isolation     int8  // v4+: 0 read_uncommitted, 1 read_committed; otherwise 0
	SessionID     int32 // v7+; otherwise 0
	SessionEpoch  int32 // v7+; otherwise -1
	// Rack (v11+) and ClusterID (v12+) alias the body; nil when absent.
	Rack       []byte
	ClusterID  []byte
	Topics     int
	Partitions int
	Forgotten  int // partitions in the forgotten list
}

// FetchPartition is one partition of a Fetch request.
type FetchPartition struct {
	Topic              TopicRef
	FirstOfTopic       bool
	Partition          int32
	CurrentLeaderEpoch int32 // v9+; -1 when absent
	Offset             int64
	LastFetchedEpoch   int32 // v12+; -1 when absent
	LogStartOffset     int64 // v5+; -1 when absent
	MaxBytes           int32
}

// ForgottenPartition is one entry of the forgotten list (v7+).
type ForgottenPartition struct {
	Topic     TopicRef
	Partition int32
}

// FetchIter walks a Fetch request without allocating: Next its partitions,
// NextForgotten its forgotten list, each on its own. It is a value: a copy
// walks on its own from where the copy was taken.
type FetchIter struct {
	topics    fetchList
	forgotten fetchList
}

// fetchList is a walk over topics with partitions.
type fetchList struct {
	r          reader
	version    int16
	flexible   bool
	first      bool
	open       bool // inside a topic, its tag section is still to come
	topics     int  // topics not yet begun
	partitions int  // partitions left in the topic
	topic      TopicRef
}

// advance steps to the next partition, whose own fields are next in l.r.
func (l *fetchList) advance(minPartition int) (first, ok bool) {
	for l.partitions == 0 {
		if l.open {
			l.r.skipTags(l.flexible)
			l.open = false
		}
		if l.topics == 0 {
			return false, false
		}
		l.topics--
		l.topic = l.r.topicRef(l.version, l.flexible)
		l.partitions = l.r.array(l.flexible, minPartition)
		l.first, l.open = true, true
	}
	l.partitions--
	first, l.first = l.first, false
	return first, true
}

// minFetchPartition is the least bytes of a partition.
func minFetchPartition(version int16) int {
	n := 4 + 8 + 4
	if version >= 5 {
		n += 8
	}
	if version >= 9 {
		n += 4
	}
	if version >= fetchFlexible {
		n += 4 + 1
	}
	return n
}

// fetchPartition reads one partition's fields, tags included. (The tags are a
// follower's: replica directory id and high watermark.)
func (r *reader) fetchPartition(version int16, p *FetchPartition) {
	p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = -1, -1, -1
	p.Partition = r.int32()
	if version >= 9 {
		p.CurrentLeaderEpoch = r.int32()
	}
	p.Offset = r.int64()
	if version >= 12 {
		p.LastFetchedEpoch = r.int32()
	}
	if version >= 5 {
		p.LogStartOffset = r.int64()
	}
	p.MaxBytes = r.int32()
	r.skipTags(version >= fetchFlexible)
}

// ParseFetch checks the whole body once, so that the iterator cannot fail. Any
// goroutine; allocates nothing but errors. Bytes behind the request are
// ignored, as Kafka does.
func ParseFetch(version int16, body []byte) (FetchRequest, FetchIter, error) {
	if version < 0 || version > MaxVersion(keyFetch) {
		return FetchRequest{}, FetchIter{}, malformed(keyFetch, version, "the version is not known")
	}
	flexible := version >= fetchFlexible
	req := FetchRequest{ReplicaID: -1, ReplicaEpoch: -1, MaxBytes: math.MaxInt32, SessionEpoch: -1}
	r := reader{b: body}
	if version <= 14 {
		req.ReplicaID = r.int32()
	}
	req.MaxWaitMillis = r.int32()
	req.MinBytes = r.int32()
	if version >= 3 {
		req.MaxBytes = r.int32()
	}
	if version >= 4 {
		req.Isolation = r.int8()
	}
	if version >= 7 {
		req.SessionID = r.int32()
		req.SessionEpoch = r.int32()
	}

	var it FetchIter
	minPartition := minFetchPartition(version)
	req.Topics = r.array(flexible, minTopicRef(version, flexible))
	it.topics = fetchList{r: r, version: version, flexible: flexible, topics: req.Topics}
	for t := 0; t < req.Topics && !r.bad; t++ {
		r.topicRef(version, flexible)
		n := r.array(flexible, minPartition)
		req.Partitions += n
		for i := 0; i < n && !r.bad; i++ {
			var p FetchPartition
			r.fetchPartition(version, &p)
		}
		r.skipTags(flexible)
	}
	if version >= 7 {
		n := r.array(flexible, minTopicRef(version, flexible))
		it.forgotten = fetchList{r: r, version: version, flexible: flexible, topics: n}
		for ; n > 0 && !r.bad; n-- {
			r.topicRef(version, flexible)
			partitions := r.array(flexible, 4)
			req.Forgotten += partitions
			r.span(4 * partitions)
			r.skipTags(flexible)
		}
	}
	if version >= 11 {
		req.Rack = r.string(flexible)
	}
	if flexible {
		r.fetchTags(version, &req)
	}
	if r.bad {
		return FetchRequest{}, FetchIter{}, malformed(keyFetch, version, "a length or count runs beyond the end")
	}
	return req, it, nil
}

// fetchTags reads the request's own tags: 0 is the cluster id, 1 the replica
// state (v15+).
func (r *reader) fetchTags(version int16, req *FetchRequest) {
	for n := r.tagCount(); n > 0 && !r.bad; n-- {
		key, value := r.tag()
		t := reader{b: value}
		switch {
		case key == 0:
			req.ClusterID = t.nullableString(true)
		case key == 1 && version >= 15:
			req.ReplicaID = t.int32()
			req.ReplicaEpoch = t.int64()
			t.skipTags(true)
		}
		if t.bad {
			r.fail()
		}
	}
}

// Next gives the next partition; topics without partitions are passed over.
func (it *FetchIter) Next() (p FetchPartition, ok bool) {
	l := &it.topics
	p.FirstOfTopic, ok = l.advance(minFetchPartition(l.version))
	if !ok {
		return p, false
	}
	p.Topic = l.topic
	l.r.fetchPartition(l.version, &p)
	return p, true
}

// NextForgotten gives the next partition of the forgotten list.
func (it *FetchIter) NextForgotten() (p ForgottenPartition, ok bool) {
	l := &it.forgotten
	if _, ok = l.advance(4); !ok {
		return p, false
	}
	p.Topic = l.topic
	p.Partition = l.r.int32()
	return p, true
}

package codec

const (
	keyProduce = 0
	// produceFlexible is the first flexible version of Produce.
	produceFlexible = 9
)

// ProduceRequest is the fixed part of a Produce request, v0 to v13 (v0 to v2
// have no transactional id: it is then null).
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

// ProduceIter walks the partitions of a Produce request without allocating. It
// is a value: a copy walks on its own from where the copy was taken.
type ProduceIter struct {
	r          reader
	version    int16
	flexible   bool
	first      bool
	open       bool // inside a topic, its tag section is still to come
	topics     int  // topics not yet begun
	partitions int  // partitions left in the topic
	topic      TopicRef
}

// minProducePartition is the least bytes of a partition: index, records
// length and, when flexible, a tag count.
func minProducePartition(flexible bool) int {
	if flexible {
		return 4 + 1 + 1
	}
	return 4 + 4
}

// ParseProduce checks the whole body once, so that the iterator cannot fail.
// Any goroutine; allocates nothing but errors. Bytes behind the request are
// ignored, as Kafka does.
func ParseProduce(version int16, body []byte) (ProduceRequest, ProduceIter, error) {
	if version < 0 || version > MaxVersion(keyProduce) {
		return ProduceRequest{}, ProduceIter{}, malformed(keyProduce, version, "the version is not known")
	}
	var req ProduceRequest
	flexible := version >= produceFlexible
	r := reader{b: body}
	if version >= 3 {
		req.TransactionalID = r.nullableString(flexible)
	}
	req.Acks = r.int16()
	req.TimeoutMillis = r.int32()
	req.Topics = r.array(flexible, minTopicRef(version, flexible))
	it := ProduceIter{r: r, version: version, flexible: flexible, topics: req.Topics}
	for t := 0; t < req.Topics && !r.bad; t++ {
		r.topicRef(version, flexible)
		n := r.array(flexible, minProducePartition(flexible))
		req.Partitions += n
		for p := 0; p < n && !r.bad; p++ {
			r.int32()
			r.nullableBytes(flexible)
			r.skipTags(flexible)
		}
		r.skipTags(flexible)
	}
	r.skipTags(flexible)
	if r.bad {
		return ProduceRequest{}, ProduceIter{}, malformed(keyProduce, version, "a length or count runs beyond the end")
	}
	return req, it, nil
}

// Next gives the next partition; topics without partitions are passed over.
func (it *ProduceIter) Next() (p ProducePartition, ok bool) {
	for it.partitions == 0 {
		if it.open {
			it.r.skipTags(it.flexible)
			it.open = false
		}
		if it.topics == 0 {
			return p, false
		}
		it.topics--
		it.topic = it.r.topicRef(it.version, it.flexible)
		it.partitions = it.r.array(it.flexible, minProducePartition(it.flexible))
		it.first, it.open = true, true
	}
	it.partitions--
	p.Topic = it.topic
	p.FirstOfTopic = it.first
	it.first = false
	p.Partition = it.r.int32()
	p.Records = it.r.nullableBytes(it.flexible)
	it.r.skipTags(it.flexible)
	return p, true
}

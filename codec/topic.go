package codec

// TopicRef names a topic in a hot-path request: Name aliases the request and
// is empty when the version carries ids.
type TopicRef struct {
	Name []byte
	ID   [16]byte
}

// firstTopicID is the first version of Produce and of Fetch that names topics
// by id (KIP-516).
const firstTopicID = 13

// topicRef reads a topic's id or name, whichever the version carries.
func (r *reader) topicRef(version int16, flexible bool) (t TopicRef) {
	if version >= firstTopicID {
		t.ID = r.uuid()
	} else {
		t.Name = r.string(flexible)
	}
	return t
}

// minTopicRef is the least bytes of a topic with its partition count.
func minTopicRef(version int16, flexible bool) int {
	switch {
	case version >= firstTopicID:
		return 16 + 1 + 1
	case flexible:
		return 1 + 1 + 1
	default:
		return 2 + 4
	}
}

// Endpoint is a broker's address.
type Endpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string // empty is null
}

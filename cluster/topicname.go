package cluster

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/chronik-stream/chronik/logstore"
)

// MaxTopicName is the longest topic name in bytes (Kafka's Topic.java).
const MaxTopicName = 249

// ErrTopicName is wrapped by every refusal of a topic name
// (INVALID_TOPIC_EXCEPTION).
var ErrTopicName = errors.New("the topic name is not allowed")

// CheckTopicName refuses what Kafka refuses: names are 1 to 249 letters,
// digits, dots, underscores and hyphens of ASCII, and not "." or "..". A
// topic's name is a directory's name here as there.
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrTopicName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: it cannot be %q", ErrTopicName, name)
	case len(name) > MaxTopicName:
		return fmt.Errorf("%w: it has %d characters and may have %d", ErrTopicName, len(name), MaxTopicName)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%w: %q contains a character other than ASCII letters and digits, '.', '_' and '-'", ErrTopicName, name)
		}
	}
	return nil
}

// NewTopicID makes a random topic id (UUID version 4). Like Kafka's it never
// prints with a leading '-', which command lines would take for a flag.
func NewTopicID() logstore.TopicID {
	for {
		var id logstore.TopicID
		// crypto/rand's Read never fails since Go 1.24.
		_, _ = rand.Read(id[:])
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if id[0]>>2 != 62 { // 62 prints as '-' in base64url
			return id
		}
	}
}

// TopicIDString is an id as Kafka prints it: base64url without padding.
func TopicIDString(id logstore.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Internal topics that the broker itself keeps.
const (
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
	MetadataTopic     = "__cluster_metadata"
)

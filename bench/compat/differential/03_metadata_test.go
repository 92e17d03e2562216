package differential

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMetadata(t *testing.T) {
	compare(t, 3, func(v int16) (out []Case) {
		ask := func(name string, change func(r *kmsg.MetadataRequest)) {
			one(&out, name, v, kmsg.NewPtrMetadataRequest(), func(r *kmsg.MetadataRequest) {
				r.AllowAutoTopicCreation = false
				change(r)
			})
		}
		byName := func(names ...string) func(r *kmsg.MetadataRequest) {
			return func(r *kmsg.MetadataRequest) {
				for _, n := range names {
					r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: &n})
				}
			}
		}
		ask("some", byName("t", "compact"))
		ask("none", func(r *kmsg.MetadataRequest) { r.Topics = []kmsg.MetadataRequestTopic{} })
		ask("unknown", func(r *kmsg.MetadataRequest) {
			if v < 4 { // older requests make topics
				byName("t")(r)
				return
			}
			byName("unknown", "t")(r)
		})
		for _, bad := range []string{"", ".", "..", "a b", "ä", "a/b", strings.Repeat("x", 250), "a\x00b"} {
			ask("bad name "+bad, byName(bad))
		}
		ask("collides", func(r *kmsg.MetadataRequest) {
			if v >= 4 {
				byName("a_b")(r)
			} else {
				byName("a.b")(r)
			}
		})
		ask("twice", byName("t", "t"))
		ask("operations", func(r *kmsg.MetadataRequest) {
			byName("t")(r)
			r.IncludeClusterAuthorizedOperations, r.IncludeTopicAuthorizedOperations = true, true
		})
		ask("internal", byName("__transaction_state"))
		if v >= 10 {
			byID := func(name *string, id [16]byte) func(r *kmsg.MetadataRequest) {
				return func(r *kmsg.MetadataRequest) {
					r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: name, TopicID: id})
				}
			}
			other := "unknown"
			known := "t"
			ask("by id", byID(nil, ID("t")))
			ask("by unknown id", byID(nil, [16]byte{1, 2, 3}))
			ask("by zero id", byID(nil, [16]byte{}))
			ask("by id and name", byID(&known, ID("t")))
			ask("by id and other name", byID(&other, ID("t")))
			ask("id and name mixed", func(r *kmsg.MetadataRequest) { byID(nil, ID("t"))(r); byName("compact")(r) })
			ask("name and id mixed", func(r *kmsg.MetadataRequest) { byName("compact")(r); byID(nil, ID("t"))(r) })
			ask("id and unknown id", func(r *kmsg.MetadataRequest) { byID(nil, ID("t"))(r); byID(nil, [16]byte{9})(r) })
		}
		return out
	})
}

package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Share groups (type 2) have a coordinator in Kafka only: for them it is compared
// how bad keys are refused.
func TestFindCoordinator(t *testing.T) {
	compare(t, 10, func(v int16) (out []Case) {
		ask := func(kind int8, keys ...string) {
			r := kmsg.NewPtrFindCoordinatorRequest()
			r.Version, r.CoordinatorType, r.CoordinatorKeys = v, kind, keys
			if len(keys) > 0 {
				r.CoordinatorKey = keys[0]
			}
			// Kafka tells COORDINATOR_NOT_AVAILABLE while it makes the topic.
			there := func(resp kmsg.Response) bool {
				for _, c := range resp.(*kmsg.FindCoordinatorResponse).Coordinators {
					if c.ErrorCode == 15 {
						return false
					}
				}
				return resp.(*kmsg.FindCoordinatorResponse).ErrorCode != 15
			}
			if kind == 2 {
				there = nil
			}
			out = append(out, Case{fmt.Sprintf("type %d %q", kind, keys), []Step{{Req: r, Until: there}}})
		}
		for _, kind := range []int8{0, 1, 3, 100, -1} {
			ask(kind, "some")
			ask(kind, "")
			ask(kind, "b", "a", "b")
			ask(kind)
		}
		ask(2, "")
		ask(2, "some")
		ask(2, "group:topic:0")
		ask(2, " :AAAAAAAAAAAAAAAAAAAAAQ:0")
		ask(2, ":AAAAAAAAAAAAAAAAAAAAAQ:0")
		ask(2, "a:b:AAAAAAAAAAAAAAAAAAAAAQ:x")
		ask(2, "group:AAAAAAAAAAAAAAAAAAAAAQ:x")
		ask(2, "some", "group:AAAAAAAAAAAAAAAAAAAAAQ")
		return out
	})
}

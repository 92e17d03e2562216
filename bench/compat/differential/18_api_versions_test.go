package differential

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestApiVersions(t *testing.T) {
	compare(t, 18, func(v int16) (out []Case) {
		ask := func(name, software, version string) {
			one(&out, name, v, kmsg.NewPtrApiVersionsRequest(), func(r *kmsg.ApiVersionsRequest) {
				r.ClientSoftwareName, r.ClientSoftwareVersion = software, version
			})
		}
		ask("plain", "differential", "1.0")
		ask("empty name", "", "1.0")
		ask("empty version", "a", "")
		ask("one letter", "a", "1")
		ask("ends with a dash", "a-", "1.0")
		ask("starts with a dot", ".a", "1.0")
		ask("blank inside", "a b", "1.0")
		ask("underscore", "a_b", "1.0")
		ask("not ASCII", "ä", "1.0")
		ask("bad version", "a", "1.0-")
		return out
	})
}

// TestApiVersionsTooNew: refused in the oldest form (KIP-511).
func TestApiVersionsTooNew(t *testing.T) {
	compare(t, 18, func(v int16) (out []Case) {
		for _, too := range []int16{5 + v, 100 + v, 32767 - v, -1 - v} {
			req := kmsg.NewPtrApiVersionsRequest()
			req.Version = too
			out = append(out, Case{"too new", []Step{{Req: req, Raw: []byte{0}}}})
		}
		return out
	})
}

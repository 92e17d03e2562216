package codec

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestVersionsMatchKmsg(t *testing.T) {
	for key := int16(-1); key <= kmsg.MaxKey+1; key++ {
		maxVersion, flexible := int16(-1), int16(-1)
		if req := kmsg.RequestForKey(key); req != nil {
			maxVersion = req.MaxVersion()
			for v := maxVersion; v >= 0; v-- {
				req.SetVersion(v)
				if req.IsFlexible() {
					flexible = v
				}
			}
		}
		if got := MaxVersion(key); got != maxVersion {
			t.Errorf("MaxVersion(%d) = %d, kmsg has %d", key, got, maxVersion)
		}
		if got := FirstFlexible(key); got != flexible {
			t.Errorf("FirstFlexible(%d) = %d, kmsg has %d", key, got, flexible)
		}
	}
}

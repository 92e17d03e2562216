package differential

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFindings: a row that nothing matches explains nothing, and an API that both
// serve has cases. Tests run in the order of their files, and this comes last.
func TestFindings(t *testing.T) {
	if kafka == nil {
		t.Skip("no brokers to compare")
	}
	for _, f := range findings {
		if f.Seen == 0 && ran[f.API] {
			t.Errorf("FINDINGS.md allows %s v%d-%d, %s, %s: %s / %s, and nothing differs like that", f.API, f.Min, f.Max, f.Case, f.Path, f.Kafka, f.Chronik)
		}
	}
	if !slices.Contains(os.Args, "-test.run") && !slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.run=") }) {
		for key := range kafka.Versions {
			if len(versions(key)) != 0 && !ran[kmsg.NameForKey(key)] && !slices.Contains(coordinators, key) {
				t.Errorf("%s is served by both and no case asks for it", kmsg.NameForKey(key))
			}
		}
	}
}

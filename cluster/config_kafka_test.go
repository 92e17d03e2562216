package cluster

import (
	_ "embed"
	"strconv"
	"strings"
	"testing"
)

//go:embed testdata/kafka_configs.txt
var kafkaConfigs string

// TestTablesAgreeWithKafka holds the tables against what a broker of Apache
// Kafka said of its own keys. A key that changed in a later release is named
// here with the release.
func TestTablesAgreeWithKafka(t *testing.T) {
	kinds := map[string]ResourceType{"topic": ResourceTopic, "broker": ResourceBroker, "group": ResourceGroup, "metrics": ResourceClientMetrics}
	n := 0
	for line := range strings.Lines(kafkaConfigs) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			t.Fatalf("the line %q has %d fields", line, len(f))
		}
		n++
		d := findDef(ConfigDefs(kinds[f[0]]), f[1])
		if d == nil {
			t.Errorf("%s key %s is missing", f[0], f[1])
			continue
		}
		value := "(null)"
		if !d.NullDefault {
			value = strconv.Quote(d.Default)
		}
		changes := "yes"
		if kinds[f[0]] == ResourceBroker && d.Dynamic == ReadOnly {
			changes = "no"
		}
		if d.Type.String() != f[2] || value != f[3] || changes != f[4] {
			t.Errorf("%s key %s is %s, %s, %s; Kafka says %s", f[0], f[1], d.Type, value, changes, strings.Join(f[2:], ", "))
		}
	}
	if n < 350 {
		t.Errorf("the list has %d keys", n)
	}
}

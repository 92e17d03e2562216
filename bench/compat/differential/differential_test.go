package differential

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Both brokers, after the setup; nil when there are none to compare.
var kafka, chronik *Peer

var findings []*Finding

// ran are the APIs whose cases ran, so that a row without a use is stale.
var ran = map[string]bool{}

func TestMain(m *testing.M) {
	code := func() int {
		a, b := os.Getenv("DIFF_KAFKA"), os.Getenv("DIFF_CHRONIK")
		if a == "" || b == "" {
			fmt.Println("DIFF_KAFKA and DIFF_CHRONIK name no brokers to compare: bench/compat/differential/run starts them")
			return m.Run()
		}
		var err error
		if findings, err = ReadFindings("FINDINGS.md"); err == nil {
			if kafka, err = Dial("kafka", a); err == nil {
				if chronik, err = Dial("chronik", b); err == nil {
					err = setup()
				}
			}
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		return m.Run()
	}()
	os.Exit(code)
}

// coordinators are the keys of groups and transactions: the random scripts of
// the package of that name compare them.
var coordinators = []int16{8, 9, 10, 11, 12, 13, 14, 15, 16, 22, 24, 25, 26, 27, 28, 42, 47, 65, 66, 68, 69}

// versions are those of a key that both brokers serve.
func versions(key int16) []int16 {
	a, inKafka := kafka.Versions[key]
	b, inChronik := chronik.Versions[key]
	if !inKafka || !inChronik {
		return nil
	}
	low := max(a[0], b[0])
	if key == 0 {
		low = 3 // Kafka advertises from 0 and serves from 3 (KAFKA-18659)
	}
	var out []int16
	for v := low; v <= min(a[1], b[1]); v++ {
		out = append(out, v)
	}
	return out
}

// compare runs the cases of an API in every version that both serve.
func compare(t *testing.T, key int16, cases func(version int16) []Case) {
	t.Helper()
	if kafka == nil {
		t.Skip("no brokers to compare")
	}
	if len(versions(key)) == 0 {
		t.Fatalf("no version of %s is served by both", kmsg.NameForKey(key))
	}
	n, allowed := 0, 0
	at := map[string][]int16{} // the versions in which it differs, by what differs
	for _, v := range versions(key) {
		for _, c := range cases(v) {
			began := time.Now()
			found, compared := Compare(kafka, chronik, c)
			if took := time.Since(began); took > 2*time.Second {
				t.Logf("v%d %s took %v", v, c.Name, took)
			}
			n += compared
			for _, d := range found {
				if f := Explained(findings, d); f != nil {
					f.Seen++
					allowed++
					continue
				}
				at[d.String()] = append(at[d.String()], d.Version)
			}
		}
	}
	for _, d := range slices.Sorted(maps.Keys(at)) {
		t.Errorf("v%v | %s", slices.Compact(at[d]), d)
	}
	ran[kmsg.NameForKey(key)] = true
	t.Logf("%s: %d answers compared, %d differences that FINDINGS.md explains", kmsg.NameForKey(key), n, allowed)
}

// one names a case after the request and what is peculiar about it.
func one[R kmsg.Request](out *[]Case, name string, version int16, req R, change func(R)) {
	req.SetVersion(version)
	if change != nil {
		change(req)
	}
	*out = append(*out, One(name, req))
}

// ordered are the names of a table of cases, always in the same order.
func ordered[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

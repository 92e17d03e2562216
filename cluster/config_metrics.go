package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ClientMetricsConfigs is every key of a client metrics subscription, by name
// (KIP-714).
var ClientMetricsConfigs = []ConfigDef{
	{Name: "interval.ms", Type: TypeInt, Default: "300000", Check: pushInterval,
		Doc: "How often matching clients push their metrics, in milliseconds."},
	{Name: "match", Type: TypeList, Default: "", Check: clientMatch,
		Doc: "Which clients the subscription is for, as name=pattern pairs that must all match; the names are client_instance_id, client_id, client_software_name, client_software_version, client_source_address and client_source_port, the patterns regular expressions. Empty matches every client."},
	{Name: "metrics", Type: TypeList, Default: "",
		Doc: "Prefixes of the metrics that clients push; * is all of them, empty none."},
}

func pushInterval(v string) error {
	if err := between(100, 3600000)(v); err != nil {
		return fmt.Errorf("%w: %w", ErrConfigSubscription, err)
	}
	return nil
}

var clientMatchNames = []string{"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}

func clientMatch(v string) error {
	for _, item := range SplitList(v) {
		name, pattern, found := strings.Cut(item, "=")
		if name = strings.TrimSpace(name); !found || pattern == "" || strings.Contains(pattern, "=") || !slices.Contains(clientMatchNames, name) {
			return fmt.Errorf("%q is not a pair of one of %s and a pattern", item, strings.Join(clientMatchNames, ", "))
		}
		if _, err := regexp.Compile(strings.TrimSpace(pattern)); err != nil {
			return fmt.Errorf("the pattern of %s is no regular expression: %w", name, err)
		}
	}
	return nil
}

// shareReset takes latest, earliest, or by_duration with an ISO 8601 duration
// of days, hours, minutes and seconds that is not negative.
func shareReset(v string) error {
	if v == "latest" || v == "earliest" {
		return nil
	}
	d, found := strings.CutPrefix(v, "by_duration:")
	if !found {
		return fmt.Errorf("it must be latest, earliest or by_duration:<ISO 8601 duration>")
	}
	if !isoDuration(d) {
		return fmt.Errorf("%q is not an ISO 8601 duration of days, hours, minutes and seconds, such as PT1H30M", d)
	}
	return nil
}

func isoDuration(s string) bool {
	s, found := strings.CutPrefix(strings.ToUpper(s), "P")
	if !found {
		return false
	}
	days, clock, hasClock := strings.Cut(s, "T")
	n := 0
	if days != "" {
		if digits, found := strings.CutSuffix(days, "D"); !found || !isNumber(digits) {
			return false
		}
		n++
	}
	for _, unit := range "HMS" {
		if at := strings.IndexRune(clock, unit); at >= 0 {
			if !isNumber(clock[:at]) && (unit != 'S' || !isDecimal(clock[:at])) {
				return false
			}
			clock = clock[at+1:]
			n++
			hasClock = false
		}
	}
	return n > 0 && clock == "" && !hasClock
}

func isDecimal(s string) bool {
	whole, frac, found := strings.Cut(s, ".")
	_, err := strconv.ParseUint("0"+frac, 10, 63)
	return found && isNumber(whole) && err == nil
}

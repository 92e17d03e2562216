package cluster

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// What a config is refused for; the errors of the Check functions wrap one of
// them. ErrConfigValue is INVALID_CONFIG; the others are too for topics and
// groups, and INVALID_REQUEST for a broker.
var (
	ErrConfigUnknown  = errors.New("unknown configuration")
	ErrConfigValue    = errors.New("invalid value")
	ErrConfigReadOnly = errors.New("the configuration cannot be changed at run time")
	// ErrConfigSubscription comes beside the others where Kafka's check of client
	// metrics says INVALID_REQUEST: for an unknown key and an interval out of
	// bounds (ClientMetricsConfigs.java).
	ErrConfigSubscription = errors.New("refused for a subscription")
)

// refusal says in Kafka's words what some clients' tests look for in the
// message, and is one of the errors above all the same.
type refusal struct {
	says string
	kind error
}

func (r *refusal) Error() string { return r.says }
func (r *refusal) Unwrap() error { return r.kind }

// CheckConfig checks a key and its value for a type of resource.
func CheckConfig(t ResourceType, key, value string) error {
	def := FindConfig(t, key)
	if def == nil {
		return unknownKey(t, key)
	}
	return def.check(key, value)
}

// CheckDynamic is CheckConfig for a change at run time: a broker key must also
// be one that can be changed there.
func CheckDynamic(res Resource, key, value string) error {
	if err := CheckScope(res, key); err != nil {
		return err
	}
	return CheckConfig(res.Type, key, value)
}

// CheckScope tells whether a key exists and can be changed (or its change be
// taken back) at run time on a resource.
func CheckScope(res Resource, key string) error {
	def := FindConfig(res.Type, key)
	switch {
	case def == nil:
		return unknownKey(res.Type, key)
	case res.Type != ResourceBroker:
		return nil
	case def.Unused && def.Dynamic != ReadOnly:
		return fmt.Errorf("%w: %s has no effect here. %s", ErrConfigReadOnly, key, def.Doc)
	case def.Dynamic == ReadOnly, def.AtStart:
		return &refusal{"Cannot update these configs dynamically: " + key + " is read when the broker starts; set it in the broker's own configuration", ErrConfigReadOnly}
	case res.Name == "" && (def.Dynamic == PerBroker || key != def.Name):
		return fmt.Errorf("%w: %s belongs to one broker and has no cluster-wide default; name the broker", ErrConfigReadOnly, key)
	}
	return nil
}

// CheckStatic checks a broker's own configuration. The error joins one line for
// each bad key.
func CheckStatic(static map[string]string) error {
	keys := make([]string, 0, len(static))
	for key := range static {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var errs []error
	for _, key := range keys {
		if err := CheckConfig(ResourceBroker, key, static[key]); err != nil {
			errs = append(errs, err)
		}
	}
	if node, broker := static["node.id"], static["broker.id"]; node != "" && broker != "" && node != broker {
		errs = append(errs, fmt.Errorf("%w %s for configuration broker.id: node.id is %s, and the two are one thing", ErrConfigValue, broker, node))
	}
	return errors.Join(errs...)
}

// check checks a value; key is the name it was given by, perhaps with a prefix.
func (d *ConfigDef) check(key, value string) error {
	err := d.checkType(value)
	if err == nil && d.Check != nil {
		err = d.Check(strings.TrimSpace(value))
	}
	if err == nil {
		return nil
	}
	if d.Sensitive() {
		return fmt.Errorf("%w for configuration %s: %w", ErrConfigValue, key, err)
	}
	return fmt.Errorf("%w %s for configuration %s: %w", ErrConfigValue, value, key, err)
}

func (d *ConfigDef) checkType(value string) error {
	value = strings.TrimSpace(value)
	var err error
	switch d.Type {
	case TypeBool:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return errors.New("it must be true or false")
		}
	case TypeInt:
		_, err = strconv.ParseInt(value, 10, 32)
	case TypeShort:
		_, err = strconv.ParseInt(value, 10, 16)
	case TypeLong:
		_, err = strconv.ParseInt(value, 10, 64)
	case TypeDouble:
		var f float64
		if f, err = strconv.ParseFloat(value, 64); err == nil && math.IsNaN(f) {
			return errors.New("it is not a number")
		}
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("it does not fit a number of type %s", d.Type)
	case err != nil:
		return fmt.Errorf("it is not a number of type %s", d.Type)
	}
	return nil
}

// String is the type's name as Kafka writes it.
func (t ConfigType) String() string {
	names := [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}
	if t < 0 || int(t) >= len(names) {
		return names[0]
	}
	return names[t]
}

// unknownKey names the key and the nearest one that exists.
func unknownKey(t ResourceType, key string) error {
	unknown := ErrConfigUnknown
	if t == ResourceClientMetrics {
		unknown = fmt.Errorf("%w: %w", ErrConfigSubscription, unknown)
	}
	kind := map[ResourceType]string{ResourceTopic: "topic ", ResourceGroup: "group ", ResourceBroker: "broker ", ResourceClientMetrics: "client metrics "}[t]
	says := fmt.Sprintf("Unknown %sconfig name: %s", kind, key)
	if near := nearest(ConfigDefs(t), key); near != "" {
		says += "; did you mean " + near + "?"
	}
	return &refusal{says, unknown}
}

// nearest is the key with the fewest edits to reach, if they are few.
func nearest(defs []ConfigDef, key string) string {
	if len(key) > 100 {
		return ""
	}
	best, least := "", 1+len(key)/4
	for i := range defs {
		if n := edits(defs[i].Name, key, least); n < least {
			best, least = defs[i].Name, n
		}
	}
	return best
}

// edits is the Levenshtein distance of a and b, or at least limit.
func edits(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}

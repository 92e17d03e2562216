package differential

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// flattener makes paths and values of an answer.
type flattener struct {
	peer    *Peer
	vars    *Vars
	ordered bool
	values  map[string]string
	texts   map[string]string
}

// names are the fields by which elements of lists find each other, in order.
var names = []string{
	"Topic", "TopicName", "TopicID", "Name", "Group", "GroupID", "TransactionalID", "User", "ResourceType", "ResourceName", "ConfigName",
	"Partition", "NodeID", "BrokerID", "ReplicaID", "ApiKey", "Dir", "ConfigType", "Type", "Key", "MemberID", "InstanceID", "ProducerID",
	"Principal", "Host", "Operation", "PermissionType", "Mechanism", "Feature", "FirstOffset", "EntityType", "EntityName", "Protocol",
}

// words are fields whose text is each broker's own: only that there is one is
// compared.
var words = map[string]bool{"ErrorMessage": true, "Documentation": true, "ErrMessage": true, "Message": true, "BatchIndexErrorMessage": true, "ClusterID": true, "LogDir": true, "Dir": true}

// own are numbers that no two brokers share.
var own = map[string]bool{"ThrottleMillis": true, "UsableBytes": true, "FinalizedFeaturesEpoch": true}

func (f *flattener) walk(path, field string, x reflect.Value) {
	switch x.Kind() {
	case reflect.Pointer:
		if x.IsNil() {
			f.values[path] = "null"
			return
		}
		f.walk(path, field, x.Elem())
	case reflect.Struct:
		f.fields(path, x)
	case reflect.Slice:
		if x.Type().Elem().Kind() == reflect.Uint8 {
			f.bytes(path, field, x.Bytes(), x.IsNil())
			return
		}
		f.list(path, field, x)
	default:
		f.values[path] = f.scalar(path, field, x)
	}
}

func (f *flattener) fields(path string, x reflect.Value) {
	t := x.Type()
	for i := range t.NumField() {
		name := t.Field(i).Name
		switch {
		case name == "Version" && t.Field(i).Type.Kind() == reflect.Int16, own[name]:
		case name == "UnknownTags":
			if n := x.Field(i).Addr().MethodByName("Len").Call(nil)[0].Int(); n != 0 {
				f.values[join(path, name)] = fmt.Sprint(n)
			}
		default:
			f.walk(join(path, name), name, x.Field(i))
		}
	}
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// list gives each element its own path, by its name.
func (f *flattener) list(path, field string, x reflect.Value) {
	if x.IsNil() {
		f.values[path] = "null"
		return
	}
	if x.Len() == 0 {
		f.values[path] = "empty"
		return
	}
	var order []string
	if e := x.Type().Elem(); e.Kind() != reflect.Struct {
		for i := range x.Len() {
			order = append(order, f.scalar(path, field, x.Index(i)))
		}
		if !f.ordered {
			slices.Sort(order)
		}
		f.values[path] = "[" + strings.Join(order, " ") + "]"
		return
	}
	seen := map[string]int{}
	for i := range x.Len() {
		name := f.name(x.Index(i))
		seen[name]++
		if n := seen[name]; n > 1 {
			name += "#" + strconv.Itoa(n)
		}
		order = append(order, name)
		element := path + "[" + name + "]"
		f.values[element] = "present"
		f.fields(element, x.Index(i))
	}
	if f.ordered {
		f.values[path+".order"] = strings.Join(order, " ")
	}
}

// name is what distinguishes an element from others of its list.
func (f *flattener) name(x reflect.Value) string {
	var parts []string
	for _, n := range names {
		v := x.FieldByName(n)
		if !v.IsValid() {
			continue
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		if k := v.Kind(); k == reflect.Struct || k == reflect.Slice {
			continue
		}
		if n == "TopicID" && len(parts) > 0 {
			continue // a name is enough
		}
		if s := f.scalar("", n, v); s != `""` && s != "zero-id" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

func (f *flattener) scalar(path, field string, x reflect.Value) string {
	switch x.Kind() {
	case reflect.Pointer:
		if x.IsNil() {
			return "null"
		}
		return f.scalar(path, field, x.Elem())
	case reflect.String:
		return f.text(path, field, x.String())
	case reflect.Array:
		if id, ok := x.Interface().([16]byte); ok {
			return f.id(id)
		}
	case reflect.Int32:
		n := int32(x.Int())
		if strings.HasSuffix(field, "Port") && n == f.peer.Port {
			return "own-port"
		}
		for _, v := range f.vars.ints {
			if field == "SessionID" && v.value == n {
				return "$" + v.name
			}
		}
		if field == "SessionID" && n > 0 {
			return "some-session"
		}
	case reflect.Int64:
		return f.long(field, x.Int())
	}
	return fmt.Sprint(x.Interface())
}

func (f *flattener) text(path, field, s string) string {
	if words[field] {
		f.texts[path] = s
		if s == "" {
			return "no text"
		}
		return "text"
	}
	for name, value := range f.vars.strings {
		if value != "" {
			s = strings.ReplaceAll(s, value, "${"+name+"}")
		}
	}
	s = strings.ReplaceAll(s, f.peer.Addr, "own-address")
	return strconv.Quote(s)
}

func (f *flattener) id(id [16]byte) string {
	switch {
	case id == [16]byte{}:
		return "zero-id"
	case id[0] == 0xfe && id[1] == 0xed && id[2] == 0xfa && id[3] == 0xce:
		return fmt.Sprintf("%x", id)
	}
	for _, v := range f.vars.ids {
		if v.value == id {
			return "id of " + v.name
		}
	}
	return "some-id"
}

func (f *flattener) long(field string, n int64) string {
	for _, v := range f.vars.longs {
		if field == "ProducerID" && v.value == n {
			return "$" + v.name
		}
	}
	if field == "BaseOffset" && n >= 0 {
		return "appended" // a Fetch at the end compares where
	}
	if now := clock(); n > now-day && n < now+day {
		return "now"
	}
	if field == "ProducerID" && n >= 0 {
		return "some-producer"
	}
	return strconv.FormatInt(n, 10)
}

// bytes are record batches, or opaque.
func (f *flattener) bytes(path, field string, b []byte, null bool) {
	switch {
	case null:
		f.values[path] = "null"
	case field == "RecordBatches" || field == "Records":
		f.values[path] = describeBatches(b, f.long)
	default:
		f.values[path] = strconv.Quote(string(b))
	}
}

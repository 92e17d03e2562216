package differential

import (
	"encoding/binary"
	"hash/fnv"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Case is one conversation with a broker. Its connections are its own.
type Case struct {
	Name  string
	Steps []Step
}

// Step is one request of a case.
type Step struct {
	// Req is sent in its version. Placeholders in it (ID, Int64, Int32 and
	// ${name} in strings) become what the broker under test gave earlier.
	Req kmsg.Request
	// Raw is sent instead of Req's own bytes, behind the request header; Req
	// still says how to read the answer.
	Raw []byte
	// On is the number of the case's connection.
	On int
	// Keep takes from the answer what later steps need.
	Keep func(resp kmsg.Response, v *Vars)
	// Until asks again, for at most five seconds, until it is content.
	Until func(resp kmsg.Response) bool
	// Silent is for requests that are not answered.
	Silent bool
	// Uncompared steps prepare something; only that they are answered counts.
	Uncompared bool
	// Ordered compares the order of the answer's lists, too.
	Ordered bool
}

// One is a case of one request.
func One(name string, req kmsg.Request) Case { return Case{name, []Step{{Req: req}}} }

// Vars are the values that one broker gave, by name. A case starts with those
// of the setup.
type Vars struct {
	strings map[string]string
	ids     map[[16]byte]named[[16]byte]
	longs   map[int64]named[int64]
	ints    map[int32]named[int32]
}

type named[T any] struct {
	name  string
	value T
}

func newVars() *Vars {
	return &Vars{map[string]string{}, map[[16]byte]named[[16]byte]{}, map[int64]named[int64]{}, map[int32]named[int32]{}}
}

func (v *Vars) clone() *Vars {
	c := newVars()
	for k, x := range v.strings {
		c.strings[k] = x
	}
	for k, x := range v.ids {
		c.ids[k] = x
	}
	for k, x := range v.longs {
		c.longs[k] = x
	}
	for k, x := range v.ints {
		c.ints[k] = x
	}
	return c
}

// Text, Topic, Long and Int give a name to a value of this broker: for strings
// (${name} in a request), topic ids, producer ids and other int64, and fetch
// session ids and other int32.
func (v *Vars) Text(name, value string)        { v.strings[name] = value }
func (v *Vars) Topic(name string, id [16]byte) { v.ids[ID(name)] = named[[16]byte]{name, id} }
func (v *Vars) Long(name string, value int64)  { v.longs[Int64(name)] = named[int64]{name, value} }
func (v *Vars) Int(name string, value int32)   { v.ints[Int32(name)] = named[int32]{name, value} }

func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return h.Sum64()
}

// ID stands in a request for the topic id that Vars has under name.
func ID(name string) [16]byte {
	id := [16]byte{0xfe, 0xed, 0xfa, 0xce}
	binary.BigEndian.PutUint64(id[8:], hash(name))
	return id
}

// Int64 stands in a request for the int64 that Vars has under name.
func Int64(name string) int64 { return 0x7ead<<48 | int64(hash(name)&(1<<48-1)) }

// Int32 stands in a request for the int32 that Vars has under name.
func Int32(name string) int32 { return 0x7ead<<16 | int32(hash(name)&(1<<16-1)) }

// resolve puts this broker's values in the place of their names.
func (v *Vars) resolve(x reflect.Value) {
	switch x.Kind() {
	case reflect.Pointer:
		if !x.IsNil() {
			v.resolve(x.Elem())
		}
	case reflect.Struct:
		for i := range x.NumField() {
			if x.Type().Field(i).IsExported() {
				v.resolve(x.Field(i))
			}
		}
	case reflect.Slice:
		if x.Type().Elem().Kind() != reflect.Uint8 {
			for i := range x.Len() {
				v.resolve(x.Index(i))
			}
		}
	case reflect.Array:
		if id, ok := x.Interface().([16]byte); ok {
			if to, ok := v.ids[id]; ok {
				x.Set(reflect.ValueOf(to.value))
			}
		}
	case reflect.String:
		s := x.String()
		for name, to := range v.strings {
			s = strings.ReplaceAll(s, "${"+name+"}", to)
		}
		x.SetString(s)
	case reflect.Int64:
		if to, ok := v.longs[x.Int()]; ok {
			x.SetInt(to.value)
		}
	case reflect.Int32:
		if to, ok := v.ints[int32(x.Int())]; ok {
			x.SetInt(int64(to.value))
		}
	}
}

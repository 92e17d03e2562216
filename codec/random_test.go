package codec

import (
	"math/rand/v2"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// random fills kmsg structures with every kind of value they may have: nulls,
// empty and long strings, arrays of any length, unknown tags. Seeded, so that
// a failure repeats.
type random struct {
	*rand.Rand
	// array bounds the length of arrays on the first level; deeper ones are shorter.
	array int
}

func newRandom(seed uint64) *random {
	return &random{Rand: rand.New(rand.NewPCG(seed, 0xc0dec)), array: 4}
}

var tagsType = reflect.TypeFor[kmsg.Tags]()

// fill sets every field of a structure but a request's own version.
func (r *random) fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == tagsType {
			r.tags(v.Addr().Interface().(*kmsg.Tags))
			return
		}
		for i := range v.NumField() {
			if depth == 0 && v.Type().Field(i).Name == "Version" {
				continue
			}
			if v.Type().Field(i).IsExported() {
				r.fill(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if r.IntN(3) == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		if d, ok := v.Interface().(interface{ Default() }); ok {
			d.Default()
		}
		r.fill(v.Elem(), depth)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			switch r.IntN(4) {
			case 0:
				v.SetZero()
			default:
				v.SetBytes(r.bytes(r.IntN(200)))
			}
			return
		}
		n := r.IntN(max(1, r.array>>depth) + 1)
		if r.IntN(6) == 0 {
			v.SetZero()
			return
		}
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			if d, ok := s.Index(i).Addr().Interface().(interface{ Default() }); ok {
				d.Default()
			}
			r.fill(s.Index(i), depth+1)
		}
		v.Set(s)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(r.IntN(256)))
		}
	case reflect.String:
		n := r.IntN(20)
		if r.IntN(8) == 0 {
			n = r.IntN(400)
		}
		v.SetString(string(r.bytes(n)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	default:
		panic("BUG: kmsg has a kind that the test does not know: " + v.Kind().String())
	}
}

func (r *random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

func (r *random) tags(t *kmsg.Tags) {
	*t = kmsg.Tags{}
	if r.IntN(4) > 0 {
		return
	}
	for range r.IntN(4) {
		t.Set(uint32(1000+r.IntN(1<<20)), r.bytes(r.IntN(40)))
	}
}

// request gives a random request, nil for a key without a type.
func (r *random) request(key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	if req == nil {
		return nil
	}
	reflect.ValueOf(req).MethodByName("Default").Call(nil)
	r.fill(reflect.ValueOf(req).Elem(), 0)
	req.SetVersion(version)
	return req
}

// eachVersion calls f for every key and version.
func eachVersion(f func(key, version int16)) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		for version := int16(0); version <= MaxVersion(key); version++ {
			f(key, version)
		}
	}
}

package codec

// The guard stands between the wire and kmsg. kmsg reads what a body claims: a
// tag count of 2^32-1 in seven bytes keeps it in a loop for more than a minute,
// and a count of n makes it allocate n structures when only n bytes follow,
// whatever a structure's least size is. A scan that knows no schema cannot
// tell a count from a string's bytes, so the guard walks the body as kmsg
// will, by a table generated from kmsg's own decoders (schema_gen.go; a test
// regenerates it and compares). It keeps nothing, so the walk costs a small
// part of the decoding.
//
// What it promises once it returns nil: every count that kmsg will meet is
// backed by that many whole elements, so kmsg's time and memory are linear in
// the body's length, with the ratio of a structure's Go size to its wire size
// as the factor: measured, at most 60 bytes of memory and 0.2 µs for a byte.
// Unknown tags cost kmsg an entry in a map, so their number is bounded too. How
// long a body may be is the caller's to bound.

// kind is what a field is on the wire.
type kind uint8

const (
	kindFixed          kind = iota // size bytes
	kindString                     // must not be null
	kindNullableString             // also compact ones
	kindBytes                      // must not be null; -1 is tolerated, as kmsg does
	kindNullableBytes
	kindArray   // of structures or single values
	kindPresent // a structure behind a byte that is -1 for none
	kindTags    // a tag section; of lists the tags that kmsg decodes
	kindTag     // a known tag with its key
)

// field is one field of a request's schema. It is there in the versions from
// and to, both included.
type field struct {
	kind     kind
	from, to int16
	size     int16 // kindFixed: bytes; kindTag: the key
	of       []field
}

// last stands for "in all later versions".
const last = 1<<15 - 1

// Guard walks a request body by its schema without allocating and reports
// ErrMalformed when a count or length does not fit the bytes that are left, so
// that kmsg may decode it. It takes every body that Kafka's own encoder can
// write. Any goroutine.
func Guard(key, version int16, body []byte) error {
	if version < 0 || version > MaxVersion(key) {
		return malformed(key, version, "the key or version is not known")
	}
	r := reader{b: body}
	g := guard{version: version, flexible: isFlexible(key, version), unknownTags: maxUnknownTags}
	g.walk(&r, requestSchemas[key])
	if r.bad {
		return malformed(key, version, "a length or count runs beyond the end")
	}
	return nil
}

// maxUnknownTags bounds the tags of a whole request that kmsg does not know: a
// newer client may put a few on each partition that it names.
const maxUnknownTags = 1 << 16

// guard is one walk.
type guard struct {
	version     int16
	flexible    bool
	unknownTags int // how many more may come
}

func (g *guard) has(f *field) bool { return g.version >= f.from && g.version <= f.to }

// walk passes over the fields of one structure.
func (g *guard) walk(r *reader, fields []field) {
	for i := range fields {
		f := &fields[i]
		if !g.has(f) {
			continue
		}
		switch f.kind {
		case kindFixed:
			r.span(int(f.size))
		case kindString:
			r.string(g.flexible)
		case kindNullableString:
			r.nullableString(g.flexible)
		case kindBytes:
			r.bytes(g.flexible)
		case kindNullableBytes:
			r.nullableBytes(g.flexible)
		case kindPresent:
			if r.int8() != -1 {
				g.walk(r, f.of)
			}
		case kindTags:
			g.tags(r, f.of)
		case kindArray:
			least := g.least(f.of)
			n := r.array(g.flexible, max(least, 1))
			if g.plain(f.of) {
				r.span(n * least)
				continue
			}
			for ; n > 0 && !r.bad; n-- {
				g.walk(r, f.of)
			}
		}
		if r.bad {
			return
		}
	}
}

// tags passes over a tag section; the tags that kmsg decodes are walked too,
// each within its own bytes, as kmsg reads them.
func (g *guard) tags(r *reader, known []field) {
	if !g.flexible {
		return
	}
	for n := r.tagCount(); n > 0 && !r.bad; n-- {
		key, value := r.tag()
		g.unknownTags--
		for i := range known {
			if uint32(known[i].size) != key {
				continue
			}
			g.unknownTags++
			// Not a second reader: its address would escape to the heap.
			rest := r.b
			r.b = value
			g.walk(r, known[i].of)
			if !r.bad {
				r.b = rest
			}
		}
	}
	if g.unknownTags < 0 {
		r.fail()
	}
}

// least is the fewest bytes that a structure can take.
func (g *guard) least(fields []field) int {
	n := 0
	for i := range fields {
		f := &fields[i]
		if !g.has(f) {
			continue
		}
		switch {
		case f.kind == kindFixed:
			n += int(f.size)
		case f.kind == kindPresent:
			n++
		case f.kind == kindTags:
			if g.flexible {
				n++
			}
		case g.flexible:
			n++
		case f.kind == kindString, f.kind == kindNullableString:
			n += 2
		default:
			n += 4
		}
	}
	return n
}

// plain reports whether a structure's size does not depend on its content.
func (g *guard) plain(fields []field) bool {
	for i := range fields {
		if f := &fields[i]; g.has(f) && f.kind != kindFixed && (f.kind != kindTags || g.flexible) {
			return false
		}
	}
	return true
}

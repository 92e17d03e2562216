package logstore

import (
	"math/bits"

	"github.com/zeebo/xxh3"
)

// keyMap remembers the last offset of each key of a log's dirty part while the
// log is compacted. It keeps a 128-bit hash in place of the key: 24 bytes a
// key, in one flat table without pointers, whatever the keys' length. Two keys
// of one hash would lose a record, so the hash is seeded anew for each run:
// nobody can prepare keys that meet. (Kafka's SkimpyOffsetMap does the same
// with MD5.)
//
// The table starts small and doubles up to its limit; while it doubles, the
// old one lives on, half as large.
type keyMap struct {
	slots []keySlot
	used  int
	most  int // keys that may be put; then the map is full
	limit int // slots it may grow to
	seed  uint64
	// latest is the last offset that the map speaks for: a record at or below
	// it with a key that is not here, or is here with a later offset, is not
	// the key's last. -1: none.
	latest int64
}

// keySlot is free when next is 0.
type keySlot struct {
	hi, lo uint64
	next   int64 // the key's last offset plus one
}

const (
	keySlotSize  = 24
	firstKeySlot = 1 << 12
)

// newKeyMap makes a map of at most limit bytes.
func newKeyMap(limit int64, seed uint64) *keyMap {
	slots := int(max(limit/keySlotSize, 16))
	m := &keyMap{limit: slots, seed: seed, latest: -1}
	m.slots = make([]keySlot, min(firstKeySlot, slots))
	m.most = load(len(m.slots))
	return m
}

// load is how many keys a table of n slots takes: nine tenths.
func load(n int) int { return max(1, n*9/10) }

// put notes that key has a record at offset; offsets come in rising order. ok
// is false, and nothing changed, when the key is new and the map is full.
func (m *keyMap) put(key []byte, offset int64) (ok bool) {
	h := xxh3.Hash128Seed(key, m.seed)
	s := m.slot(h)
	if s.next != 0 {
		s.next = offset + 1
		return true
	}
	if m.used >= m.most {
		if len(m.slots) >= m.limit {
			return false
		}
		m.grow()
		s = m.slot(h)
	}
	*s = keySlot{h.Hi, h.Lo, offset + 1}
	m.used++
	return true
}

// get is the last offset of a key, -1 when the dirty part does not have it.
func (m *keyMap) get(key []byte) int64 {
	return m.slot(xxh3.Hash128Seed(key, m.seed)).next - 1
}

// slot finds a hash's slot, or the free one where it belongs. A table is never
// full, so the search ends.
func (m *keyMap) slot(h xxh3.Uint128) *keySlot {
	at, _ := bits.Mul64(h.Hi, uint64(len(m.slots)))
	for i := int(at); ; i++ {
		if i == len(m.slots) {
			i = 0
		}
		s := &m.slots[i]
		if s.next == 0 || (s.lo == h.Lo && s.hi == h.Hi) {
			return s
		}
	}
}

func (m *keyMap) grow() {
	old := m.slots
	m.slots = make([]keySlot, min(2*len(old), m.limit))
	m.most = load(len(m.slots))
	for _, s := range old {
		if s.next != 0 {
			*m.slot(xxh3.Uint128{Hi: s.hi, Lo: s.lo}) = s
		}
	}
}

// covers moves latest up.
func (m *keyMap) covers(offset int64) { m.latest = max(m.latest, offset) }

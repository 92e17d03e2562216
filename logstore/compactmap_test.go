package logstore

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestKeyMapAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(0, 300_000).Draw(t, "limit")
		m := newKeyMap(limit, rapid.Uint64().Draw(t, "seed"))
		want := map[string]int64{}
		most := load(int(max(limit/keySlotSize, 16)))
		keys := rapid.IntRange(1, 20_000).Draw(t, "keys")
		puts := rapid.IntRange(0, 30_000).Draw(t, "puts")
		step := rapid.IntRange(1, 1000).Draw(t, "step")
		for i := range puts {
			key := fmt.Sprint(i * step % keys)
			ok := m.put([]byte(key), int64(i))
			_, known := want[key]
			if ok != (known || len(want) < most) {
				t.Fatalf("put %d of %d keys, at most %d: %v", i, len(want), most, ok)
			}
			if ok {
				want[key] = int64(i)
			}
		}
		if m.used != len(want) {
			t.Fatalf("it counts %d keys of %d", m.used, len(want))
		}
		for i := range keys {
			key := fmt.Sprint(i)
			offset, ok := want[key]
			if !ok {
				offset = -1
			}
			if got := m.get([]byte(key)); got != offset {
				t.Fatalf("key %s is at %d, want %d", key, got, offset)
			}
		}
	})
}

func TestKeyMapTakesWhatItMay(t *testing.T) {
	m := newKeyMap(128<<20, 1)
	if n := load(m.limit); n < 5_000_000 {
		t.Errorf("128 MiB take %d keys, want five million", n)
	}
	if len(m.slots) != firstKeySlot {
		t.Errorf("it starts with %d slots", len(m.slots))
	}
}

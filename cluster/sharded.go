package cluster

// A change to one topic of ten thousand must not copy ten thousand map
// entries, and readers must not take a lock. So the image's big maps are cut
// into shardCount small Go maps: a change copies the shard it falls into (about
// forty entries at ten thousand topics) and the table of shards (2 KiB), and
// shares the rest with the image before. A persistent tree would copy less and
// cost every reader a walk over a dozen cold nodes; readers are the produce and
// fetch paths, so they get one hash and one map access instead.

const shardCount = 256

// sharded is an immutable map. The zero value is empty.
type sharded[K comparable, V any] struct {
	shards *[shardCount]map[K]V
	n      int
}

func (s sharded[K, V]) get(shard uint8, k K) (v V, ok bool) {
	if s.shards == nil {
		return v, false
	}
	v, ok = s.shards[shard][k]
	return v, ok
}

// each calls f for every entry, in no order.
func (s sharded[K, V]) each(f func(K, V)) {
	if s.shards == nil {
		return
	}
	for _, m := range s.shards {
		for k, v := range m {
			f(k, v)
		}
	}
}

// shardedEdit builds the next sharded map. A shard is copied when it is first
// written to; owned remembers which ones are.
type shardedEdit[K comparable, V any] struct {
	now   sharded[K, V]
	fresh bool
	owned [shardCount]bool
}

func (e *shardedEdit[K, V]) shard(i uint8) map[K]V {
	if !e.fresh {
		var table [shardCount]map[K]V
		if e.now.shards != nil {
			table = *e.now.shards
		}
		e.now.shards, e.fresh = &table, true
	}
	if !e.owned[i] {
		old := e.now.shards[i]
		m := make(map[K]V, len(old)+1)
		for k, v := range old {
			m[k] = v
		}
		e.now.shards[i], e.owned[i] = m, true
	}
	return e.now.shards[i]
}

func (e *shardedEdit[K, V]) set(i uint8, k K, v V) {
	m := e.shard(i)
	before := len(m)
	m[k] = v
	e.now.n += len(m) - before
}

func (e *shardedEdit[K, V]) remove(i uint8, k K) {
	if _, ok := e.now.get(i, k); !ok {
		return
	}
	delete(e.shard(i), k)
	e.now.n--
}

// shardOf spreads names. Whoever chooses names so that they meet in one shard
// makes changes as slow as one big map would be, and nothing else.
func shardOf(name string) uint8 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}

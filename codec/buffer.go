package codec

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffer is a pooled byte buffer with one owner. B is the content; it may be
// resliced and appended to (an append beyond the capacity replaces the array,
// and the old one still returns to its pool).
//
// Release returns it and may be called from any goroutine, once. Under the
// invariants build tag a released buffer is poisoned, a write to it is found
// at its next use and a second Release fails loudly; without the tag a second
// Release does nothing.
type Buffer struct {
	B []byte
	bufferState
}

// bufferState is the pool's part of a Buffer.
type bufferState struct {
	// array is what returns to the pool: the one NewBuffer gave, at its full
	// length. Written at creation only.
	array []byte
	// class is the index of the buffer's pool, -1 for a buffer that is too
	// large to be kept.
	class int8
	// free is true while the buffer lies in its pool.
	free atomic.Bool
}

// Size classes are powers of two from 512 bytes to 4 MiB; a larger buffer is
// left to the garbage collector.
const (
	minClassBits = 9
	maxClassBits = 22
	maxPooled    = 1 << maxClassBits
)

// pools keeps released buffers by size class. sync.Pool and not a list of our
// own: it costs no lock between loops, and what it keeps is bounded by what was
// in flight (which the network layer bounds) since the last two garbage
// collections. After them a quiet broker's pools are empty. A list with a cap
// would have to be large to serve a busy broker and would then stay large in a
// quiet one.
var pools [maxClassBits - minClassBits + 1]sync.Pool

// NewBuffer gives a buffer with len(B) == n from the pool of n's size class.
// The bytes are not cleared. Any goroutine.
func NewBuffer(n int) *Buffer {
	if n > maxPooled {
		b := &Buffer{B: make([]byte, n)}
		b.array, b.class = b.B, -1
		return b
	}
	class := classOf(n)
	if b, ok := pools[class].Get().(*Buffer); ok {
		b.checkPoison()
		b.free.Store(false)
		b.B = b.array[:n]
		return b
	}
	b := &Buffer{}
	b.array = make([]byte, 1<<(class+minClassBits))
	b.class = int8(class)
	b.B = b.array[:n]
	return b
}

// classOf is the smallest class that holds n bytes.
func classOf(n int) int {
	if n <= 1<<minClassBits {
		return 0
	}
	return bits.Len(uint(n-1)) - minClassBits
}

// Release returns the buffer to its pool; see [Buffer].
func (b *Buffer) Release() {
	if !b.free.CompareAndSwap(false, true) {
		b.doubleRelease()
		return
	}
	b.B = nil
	b.poison()
	if b.class >= 0 {
		pools[b.class].Put(b)
	}
}

package codec

// Buffer is a pooled byte buffer with one owner. B is the content; it may be
// resliced and appended to (an append beyond the capacity replaces the array,
// and the old one still returns to its pool).
//
// Release returns it and may be called from any goroutine, once. Under the
// invariants build tag a released buffer is poisoned and a second Release
// fails loudly.
type Buffer struct {
	B []byte
	// the pool's own fields follow
	bufferState
}

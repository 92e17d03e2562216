package codec

import (
	"sync"
	"testing"
)

func TestBufferSizes(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 4096, 4097, maxPooled - 1, maxPooled, maxPooled + 1} {
		b := NewBuffer(n)
		if len(b.B) != n || cap(b.B) < n {
			t.Errorf("NewBuffer(%d) has length %d, capacity %d", n, len(b.B), cap(b.B))
		}
		if n <= maxPooled && n > 1<<minClassBits && cap(b.B) >= 2*n {
			t.Errorf("NewBuffer(%d) has capacity %d", n, cap(b.B))
		}
		b.B = append(b.B, make([]byte, 2*n+1)...) // replaces the array
		b.Release()
	}
}

// TestBufferSharing passes buffers between goroutines and looks for two owners
// of one array.
func TestBufferSharing(t *testing.T) {
	handed := make(chan *Buffer, 64)
	var wg sync.WaitGroup
	for g := range byte(4) {
		wg.Go(func() {
			for i := range 2000 {
				b := NewBuffer(100 + i%3*1000)
				for j := range b.B {
					b.B[j] = g
				}
				for _, c := range b.B {
					if c != g {
						t.Error("a buffer has two owners")
						return
					}
				}
				handed <- b
			}
		})
		wg.Go(func() {
			for range 2000 {
				(<-handed).Release()
			}
		})
	}
	wg.Wait()
}

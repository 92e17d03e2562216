//go:build !invariants && !race

package codec

import "testing"

// The race detector makes sync.Pool drop buffers on purpose, hence the tag.
func TestBufferAllocatesNothing(t *testing.T) {
	for _, n := range []int{100, 5000, 1 << 20} {
		if allocs := testing.AllocsPerRun(200, func() { NewBuffer(n).Release() }); allocs >= 1 {
			t.Errorf("NewBuffer(%d) and Release allocate %v times", n, allocs)
		}
	}
}

func TestSecondReleaseDoesNothing(t *testing.T) {
	b := NewBuffer(100)
	b.Release()
	b.Release()
	x, y := NewBuffer(100), NewBuffer(100)
	if &x.B[0] == &y.B[0] {
		t.Error("a buffer that was released twice is given out twice")
	}
}

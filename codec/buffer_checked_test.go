//go:build invariants

package codec

import "testing"

func mustFail(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s is not noticed", what)
		}
	}()
	f()
}

func TestBufferInvariants(t *testing.T) {
	b := NewBuffer(maxPooled + 1) // never pooled: no other test meets it
	b.Release()
	mustFail(t, "a second Release", b.Release)

	b = NewBuffer(100)
	kept := b.B
	b.Release()
	if kept[0] != poisonByte {
		t.Error("a released buffer is not poisoned")
	}
	kept[5] = 1
	mustFail(t, "a write after Release", b.checkPoison)
	kept[5] = poisonByte
}

//go:build !invariants

package codec

func (b *Buffer) poison() {}

func (b *Buffer) checkPoison() {}

func (b *Buffer) doubleRelease() {}

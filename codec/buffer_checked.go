//go:build invariants

package codec

// poisonByte fills released buffers: as a length or an offset it is absurd.
const poisonByte = 0xdb

func (b *Buffer) poison() {
	for i := range b.array {
		b.array[i] = poisonByte
	}
}

func (b *Buffer) checkPoison() {
	for _, c := range b.array {
		if c != poisonByte {
			panic("BUG: a codec.Buffer was written to after its Release")
		}
	}
}

func (b *Buffer) doubleRelease() {
	panic("BUG: a codec.Buffer was released twice")
}

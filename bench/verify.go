package bench

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A verified record begins with the producer's number, its sequence, the time
// it was due and a checksum of all that follows; the rest is payload.
const verifyBytes = 4 + 8 + 8 + 4

// stamp writes the head of a verified record.
func stamp(value []byte, producer uint32, sequence uint64, dueNs int64) {
	binary.BigEndian.PutUint32(value[0:], producer)
	binary.BigEndian.PutUint64(value[4:], sequence)
	binary.BigEndian.PutUint64(value[12:], uint64(dueNs))
	sum := crc32.Update(crc32.Checksum(value[:20], castagnoli), castagnoli, value[verifyBytes:])
	binary.BigEndian.PutUint32(value[20:], sum)
}

// readStamp reads the head of a verified record; ok is false when the checksum
// does not fit.
func readStamp(value []byte) (producer uint32, sequence uint64, dueNs int64, ok bool) {
	if len(value) < verifyBytes {
		return 0, 0, 0, false
	}
	sum := crc32.Update(crc32.Checksum(value[:20], castagnoli), castagnoli, value[verifyBytes:])
	return binary.BigEndian.Uint32(value[0:]), binary.BigEndian.Uint64(value[4:]),
		int64(binary.BigEndian.Uint64(value[12:])), sum == binary.BigEndian.Uint32(value[20:])
}

// Verification is what reading verified records back has shown.
type Verification struct {
	Read       int64 `json:"read"`
	Acked      int64 `json:"acked"`
	Lost       int64 `json:"lost"`       // acknowledged and not read
	Duplicated int64 `json:"duplicated"` // read more than once
	Reordered  int64 `json:"reordered"`  // a producer's later record before its earlier one, in one partition
	Damaged    int64 `json:"damaged"`    // the checksum does not fit
	Unacked    int64 `json:"unacked"`    // read and never acknowledged; allowed
}

// Bad reports whether a promise was broken.
func (v Verification) Bad() bool {
	return v.Lost > 0 || v.Duplicated > 0 || v.Reordered > 0 || v.Damaged > 0
}

func (v Verification) String() string {
	return fmt.Sprintf("%d read, %d acknowledged: %d lost, %d duplicated, %d reordered, %d damaged (%d read without an ack)",
		v.Read, v.Acked, v.Lost, v.Duplicated, v.Reordered, v.Damaged, v.Unacked)
}

// ledger keeps what was acknowledged and read, per producer, as bit sets.
type ledger struct {
	acked, read []bitset // by producer
	last        map[ledgerKey]uint64
	v           Verification
}

type ledgerKey struct {
	producer  uint32
	partition int32
}

func newLedger(producers int) *ledger {
	return &ledger{acked: make([]bitset, producers), read: make([]bitset, producers), last: map[ledgerKey]uint64{}}
}

func (l *ledger) ack(producer uint32, sequence uint64) {
	if l.acked[producer].set(sequence) {
		l.v.Acked++
	}
}

// see counts one record that was read.
func (l *ledger) see(partition int32, value []byte) (dueNs int64) {
	l.v.Read++
	producer, sequence, due, ok := readStamp(value)
	if !ok || int(producer) >= len(l.read) {
		l.v.Damaged++
		return 0
	}
	if !l.read[producer].set(sequence) {
		l.v.Duplicated++
		return due
	}
	key := ledgerKey{producer, partition}
	if last, seen := l.last[key]; seen && last > sequence {
		l.v.Reordered++
	} else {
		l.last[key] = sequence
	}
	return due
}

// verdict compares the two sides.
func (l *ledger) verdict() *Verification {
	v := l.v
	v.Lost, v.Unacked = 0, 0
	for p := range l.acked {
		v.Lost += l.acked[p].without(&l.read[p])
		v.Unacked += l.read[p].without(&l.acked[p])
	}
	return &v
}

type bitset struct{ words []uint64 }

// set reports whether the bit was clear before.
func (b *bitset) set(n uint64) bool {
	for uint64(len(b.words)) <= n/64 {
		b.words = append(b.words, 0)
	}
	mask := uint64(1) << (n % 64)
	was := b.words[n/64]&mask != 0
	b.words[n/64] |= mask
	return !was
}

func (b *bitset) has(n uint64) bool {
	return n/64 < uint64(len(b.words)) && b.words[n/64]&(1<<(n%64)) != 0
}

// without counts the bits that other has not.
func (b *bitset) without(other *bitset) int64 {
	var n int64
	for i, w := range b.words {
		if i < len(other.words) {
			w &^= other.words[i]
		}
		for ; w != 0; w &= w - 1 {
			n++
		}
	}
	return n
}

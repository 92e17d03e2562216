package bench

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeBatch makes one uncompressed v2 batch of n records of size bytes each,
// encoded with kmsg, and tells where in it each record's value begins.
func encodeBatch(rng *rand.Rand, n, size int, timestampMs int64) (raw []byte, values []int) {
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(n - 1), FirstTimestamp: timestampMs,
		MaxTimestamp: timestampMs, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n)}
	value := payload(rng, size)
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length of length 0 is one byte
		b.Records = r.AppendTo(b.Records)
		values = append(values, batchHead+len(b.Records)-1-size) // no headers is one byte
	}
	b.Length = int32(49 + len(b.Records))
	raw = b.AppendTo(nil)
	sealBatch(raw)
	return raw, values
}

// batchHead is how many bytes of a batch stand before its records.
const batchHead = 61

// sealBatch writes the checksum of what a batch holds.
func sealBatch(raw []byte) {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
}

// payload is n bytes that compress about as well as JSON does.
func payload(rng *rand.Rand, n int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789{}\":, "
	p := make([]byte, n)
	for i := range p {
		p[i] = letters[rng.IntN(len(letters))]
	}
	return p
}

package differential

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is a v2 record batch to be made, wrong where a case wants it wrong.
type Batch struct {
	// Values are the records' values; Keys, when there are any, their keys.
	Values, Keys []string
	Header       string
	Time         int64 // of the first record; the next are a millisecond later
	Codec        int16 // 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
	Attributes   int16 // or-ed to the codec
	Producer     int64
	Epoch        int16
	Sequence     int32
	// Damage changes the batch before its CRC is made.
	Damage func(b *kmsg.RecordBatch)
	// After changes the bytes behind that.
	After func(b []byte) []byte
}

// NewBatch is a plain batch of values, at a fixed time.
func NewBatch(values ...string) Batch {
	return Batch{Values: values, Time: clock() - 60000, Producer: -1, Epoch: -1, Sequence: -1}
}

// Encode gives the bytes of the batch.
func (b Batch) Encode() []byte {
	var records []byte
	for i, v := range b.Values {
		r := kmsg.Record{TimestampDelta64: int64(i), OffsetDelta: int32(i), Value: []byte(v)}
		if i < len(b.Keys) {
			r.Key = []byte(b.Keys[i])
		}
		if b.Header != "" {
			r.Headers = []kmsg.Header{{Key: b.Header, Value: []byte("of the header")}}
		}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length takes one byte when it is 0
		records = r.AppendTo(records)
	}
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: b.Attributes | b.Codec, LastOffsetDelta: int32(len(b.Values) - 1),
		FirstTimestamp: b.Time, MaxTimestamp: b.Time + int64(max(len(b.Values), 1)) - 1,
		ProducerID: b.Producer, ProducerEpoch: b.Epoch, FirstSequence: b.Sequence, NumRecords: int32(len(b.Values)),
	}
	batch.Records = compressed(b.Codec, records)
	if b.Damage != nil {
		b.Damage(&batch)
	}
	batch.Length = int32(49 + len(batch.Records))
	out := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	if b.After != nil {
		out = b.After(out)
	}
	return out
}

func compressed(codec int16, plain []byte) []byte {
	if codec < 1 || codec > 4 {
		return plain
	}
	with := []kgo.CompressionCodec{{}, kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}[codec]
	c, err := kgo.DefaultCompressor(with)
	if err != nil {
		panic("BUG: kgo does not know its own codec: " + err.Error())
	}
	var b bytes.Buffer
	out, _ := c.Compress(&b, plain) // the codec is the one asked for
	return bytes.Clone(out)
}

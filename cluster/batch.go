package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeBatch makes one record batch v2 of records.
func encodeBatch(records []Record) ([]byte, error) {
	var body, value []byte
	for i, r := range records {
		value = appendRecord(value[:0], r)
		k := kmsg.NewRecord()
		k.OffsetDelta = int32(i)
		k.Value = value
		inner := k.AppendTo(nil)[1:] // Length 0 takes one byte
		body = binary.AppendVarint(body, int64(len(inner)))
		body = append(body, inner...)
		if len(body) > maxChange {
			return nil, fmt.Errorf("%w (%d bytes)", ErrTooLarge, maxChange)
		}
	}
	now := time.Now().UnixMilli()
	b := kmsg.NewRecordBatch()
	b.PartitionLeaderEpoch, b.Magic = -1, 2
	b.LastOffsetDelta, b.NumRecords = int32(len(records)-1), int32(len(records))
	b.FirstTimestamp, b.MaxTimestamp = now, now
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = -1, -1, -1
	b.Records = body
	b.Length = int32(49 + len(body))
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], castagnoli))
	return out, nil
}

// decodeBatch decodes the batch at the start of data. Nothing of the records
// aliases data.
func decodeBatch(data []byte) (records []Record, size int, next int64, err error) {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(data); err != nil {
		return nil, 0, 0, err
	}
	size = 12 + int(b.Length)
	if size > len(data) || crc32.Checksum(data[21:size], castagnoli) != uint32(b.CRC) {
		return nil, 0, 0, errors.New("the batch fails its checksum")
	}
	rest := b.Records
	for range b.NumRecords {
		n, w := binary.Varint(rest)
		if w <= 0 || n < 0 || int(n) > len(rest)-w {
			return nil, 0, 0, ErrBadRecord
		}
		var k kmsg.Record
		if err := k.ReadFrom(rest[:w+int(n)]); err != nil {
			return nil, 0, 0, err
		}
		r, err := decodeRecord(k.Value)
		if err != nil {
			return nil, 0, 0, err
		}
		records = append(records, r)
		rest = rest[w+int(n):]
	}
	return records, size, b.FirstOffset + int64(b.LastOffsetDelta) + 1, nil
}

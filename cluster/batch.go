package cluster

import (
	"fmt"

	"github.com/chronik-stream/chronik/codec/record"
)

// encodeBatch makes one record batch (v2) of records, as Kafka's dump tool can
// read it. now is its timestamp in ms.
func encodeBatch(records []Record, now int64) ([]byte, error) {
	b := record.NewBuilder(nil, record.DefaultBuilderOptions())
	var value []byte
	for _, r := range records {
		value = appendRecord(value[:0], r)
		b.Append(now, nil, value)
		if b.Size() > maxChange {
			return nil, fmt.Errorf("%w (%d bytes)", ErrTooLarge, maxChange)
		}
	}
	batch, err := b.Finish()
	if err != nil {
		return nil, fmt.Errorf("cluster: build a batch of %d records: %w", len(records), err)
	}
	return batch, nil
}

// decodeBatch decodes the batch at the start of data, gives its size and the
// offset behind it. Nothing of the records aliases data.
func decodeBatch(data []byte) (records []Record, size int, next int64, err error) {
	b, rest, err := record.Next(data)
	if err != nil {
		return nil, 0, 0, err
	}
	if b == nil || !b.CheckCRC() {
		return nil, 0, 0, fmt.Errorf("%w: the batch is cut or fails its checksum", ErrBadRecord)
	}
	payload, err := b.Payload(nil, maxChange+1<<20)
	if err != nil {
		return nil, 0, 0, err
	}
	var r record.Record
	it := record.NewIter(payload, b.Count())
	for it.Next(&r) {
		rec, err := decodeRecord(r.Value)
		if err != nil {
			return nil, 0, 0, err
		}
		records = append(records, rec)
	}
	if err := it.Err(); err != nil {
		return nil, 0, 0, err
	}
	return records, len(data) - len(rest), b.NextOffset(), nil
}

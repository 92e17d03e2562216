package logstore

import (
	"encoding/binary"
	"fmt"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
)

// maxInflated bounds what one batch may hold uncompressed while it is
// compacted; a log with a larger one is left alone.
const maxInflated = 256 << 20

// lastBatch is what must stay of a producer so that its sequences and its
// fencing survive a rebuild of the producer state from the log.
type lastBatch struct {
	offset int64 // last offset of its newest data batch, -1 when it has none
	epoch  int16
}

// batchCleaner decides, batch by batch in offset order, what stays of a log
// (Kafka: Cleaner.cleanInto and MemoryRecords.filterTo):
//
//   - A record stays when it is the last of its key that the key map knows of,
//     or lies beyond what the map speaks for.
//   - A tombstone, a record without a value, stays until its batch's delete
//     horizon. The first run that meets it sets the horizon: attribute bit 6,
//     with the time in the place of the base timestamp (KIP-534).
//   - Data of aborted transactions goes at once; the marker of a transaction
//     of which nothing is left gets a delete horizon too, and goes after it.
//   - The newest batch of each producer stays, emptied if need be, and so does
//     the last batch of the run: offsets and sequences are never forgotten.
//
// Offsets never change. One goroutine.
type batchCleaner struct {
	keys      *keyMap
	txns      *cleanedTxns
	producers map[int64]lastBatch
	now       int64 // ms
	retention int64 // delete.retention.ms
	upper     int64 // the run's first uncleanable offset

	dropped int64 // records
	kept    int64

	payload []byte // decompressed records
	out     []byte // a rebuilt batch
}

// clean gives what stays of a batch: b itself, a new batch that is valid until
// the next call, or nothing.
func (c *batchCleaner) clean(b record.Batch) ([]byte, error) {
	useless := false
	if b.Control() {
		useless = c.txns.marker(b)
	} else {
		useless = c.txns.data(b)
	}
	horizon, dated := b.DeleteHorizon()
	discard := useless && (!b.Control() || (dated && horizon <= c.now))
	keepEmpty := b.NextOffset() == c.upper || c.isLast(b)
	if discard {
		c.dropped += int64(b.Count())
		return c.empty(b, keepEmpty), nil
	}
	if b.Control() {
		c.kept += int64(b.Count())
		if useless && !dated && b.Count() > 0 {
			return c.rebuild(b, c.now+c.retention, func(*record.Record, int64) bool { return true })
		}
		if b.Count() == 0 {
			return c.empty(b, keepEmpty), nil
		}
		return b, nil
	}
	tombstones := false
	keep := func(r *record.Record, offset int64) bool {
		if !c.retains(r, offset, horizon, dated) {
			return false
		}
		tombstones = tombstones || r.Value == nil
		return true
	}
	n, err := c.count(b, keep)
	if err != nil {
		return nil, err
	}
	c.kept += int64(n)
	c.dropped += int64(b.Count() - n)
	switch {
	case n == 0:
		return c.empty(b, keepEmpty), nil
	case tombstones && !dated:
		return c.rebuild(b, c.now+c.retention, keep)
	case n == b.Count():
		return b, nil
	case dated:
		return c.rebuild(b, horizon, keep)
	}
	return c.rebuild(b, record.NoTimestamp, keep)
}

// isLast reports whether b carries what its producer's state is made of: its
// newest data batch, or, of one that only has markers left, a marker of its
// epoch.
func (c *batchCleaner) isLast(b record.Batch) bool {
	if b.ProducerID() < 0 {
		return false
	}
	p, ok := c.producers[b.ProducerID()]
	switch {
	case !ok:
		return false
	case p.offset >= 0:
		return b.LastOffset() == p.offset
	}
	return b.Control() && b.ProducerEpoch() == p.epoch
}

// retains decides on one record.
func (c *batchCleaner) retains(r *record.Record, offset, horizon int64, dated bool) bool {
	if offset > c.keys.latest {
		return true
	}
	if r.Key == nil {
		return false // a compacted topic takes none; it was made so later
	}
	if offset < c.keys.get(r.Key) {
		return false
	}
	return r.Value != nil || !dated || c.now < horizon
}

// count walks a batch's records and says how many keep wants.
func (c *batchCleaner) count(b record.Batch, keep func(*record.Record, int64) bool) (n int32, err error) {
	if b.Count() == 0 {
		return 0, nil
	}
	if c.payload, err = inflated(b, c.payload); err != nil {
		return 0, err
	}
	return n, eachRecord(b, c.payloadOf(b), func(r *record.Record) error {
		if keep(r, b.BaseOffset()+int64(r.OffsetDelta)) {
			n++
		}
		return nil
	})
}

// payloadOf is b's records after inflated was called.
func (c *batchCleaner) payloadOf(b record.Batch) []byte {
	if b.Codec() == compress.None {
		return b.Records()
	}
	return c.payload
}

// inflated decompresses a batch's records behind scratch; scratch comes back
// as it was when there is nothing to do.
func inflated(b record.Batch, scratch []byte) ([]byte, error) {
	if b.Codec() == compress.None {
		return scratch, nil
	}
	p, err := b.Payload(scratch[:0], maxInflated)
	if err != nil {
		return scratch, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return p, nil
}

// eachRecord walks an uncompressed payload; a record is valid during the call.
func eachRecord(b record.Batch, payload []byte, f func(r *record.Record) error) error {
	it := record.NewIter(payload, b.Count())
	var r record.Record
	for it.Next(&r) {
		if err := f(&r); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return nil
}

// rebuild writes the batch anew with the records that keep wants. The header's
// offsets, sequence and producer stay: the last offset delta is the original's
// although its record may be gone. With a horizon (not NoTimestamp) the base
// timestamp is the horizon and the deltas are relative to it.
func (c *batchCleaner) rebuild(b record.Batch, horizon int64, keep func(*record.Record, int64) bool) ([]byte, error) {
	var err error
	if c.payload, err = inflated(b, c.payload); err != nil {
		return nil, err
	}
	o := record.BuilderOptions{
		Codec: b.Codec(), Level: compress.DefaultLevel,
		BaseOffset: b.BaseOffset(), LeaderEpoch: b.LeaderEpoch(),
		ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence(),
		Transactional: b.Transactional(), Control: b.Control(),
		LogAppendTime: record.NoTimestamp, DeleteHorizon: horizon,
	}
	if b.LogAppendTime() {
		o.LogAppendTime = b.MaxTimestamp()
	}
	w := record.NewBuilder(c.out[:0], o)
	err = eachRecord(b, c.payloadOf(b), func(r *record.Record) error {
		if keep(r, b.BaseOffset()+int64(r.OffsetDelta)) {
			w.Copy(r.OffsetDelta, b.BaseTimestamp()+r.TimestampDelta, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.SetLastOffsetDelta(b.LastOffsetDelta())
	if c.out, err = w.Finish(); err != nil {
		return nil, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return c.out, nil
}

// empty gives the header alone, or nothing. As Kafka's cleaner does, it keeps the
// largest timestamp and has -1 for the first; its dump tool then says of either's
// that a timestamp does not match, since it looks for a record that has it.
func (c *batchCleaner) empty(b record.Batch, keep bool) []byte {
	if !keep {
		return nil
	}
	if b.Count() == 0 {
		return b
	}
	c.out = append(c.out[:0], b[:record.HeaderSize]...)
	be := binary.BigEndian
	const codecAndHorizon = 7 | 1<<6
	be.PutUint32(c.out[8:], record.HeaderSize-record.LogOverhead)
	be.PutUint16(c.out[21:], uint16(b.Attributes())&^codecAndHorizon)
	be.PutUint64(c.out[27:], ^uint64(0)) // NoTimestamp
	be.PutUint32(c.out[57:], 0)
	record.Batch(c.out).SetCRC()
	return c.out
}

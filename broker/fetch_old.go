package broker

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/netloop"
)

// Fetch v0–3 wants message sets of format 0 (v0–1) or 1 (v2–3), which the log
// does not hold. Each answer is converted by one of two workers of their own,
// batch after batch, into memory that downConvertBytes bounds.
//
// As in Kafka 3.9 (KafkaApis.maybeConvertFetchedData): headers and control
// batches are left out, data of aborted transactions is not (such clients read
// uncommitted), and zstd is refused with UNSUPPORTED_COMPRESSION_TYPE. v0–2 have
// no bytes for the whole request, and a partition's bytes are a hard limit, at
// which a message may be cut; v3 gets one batch at least (KIP-74).
//
// Two things are better than there. A range of control batches alone is passed
// over, where 3.9 sends a message that the client finds too large for ever. And
// of an uncompressed batch larger than the limit the first messages are sent.
//
// An old client waits for each answer before it asks again, so that nothing is
// lost when its connection is held while its fetch is parked or converted; and
// the order of its requests is kept with no more ado.

const (
	// firstBatchFetch is the first Fetch that gets the log's bytes.
	firstBatchFetch = 4
	// hardLimitFetch is the last Fetch whose partition bytes are a hard limit.
	hardLimitFetch = 2
	// downConvertChunk is how much is read from a segment at once, if a batch
	// is not larger.
	downConvertChunk = 256 << 10
)

func (f *fetch) old() bool { return f.rq.version < firstBatchFetch }

// limitOld bounds an old fetch: each answer lies in memory as a whole.
func (f *fetch) limitOld() {
	f.maxBytes = min(f.maxBytes, f.loop.b.limit(limitDownConvert))
	f.minBytes = min(f.minBytes, f.maxBytes)
	if f.rq.version <= hardLimitFetch && len(f.parts) > 1 {
		// Whoever comes first may take all the bytes: let it be anyone.
		f.first = rand.IntN(len(f.parts))
	}
}

// hold keeps the connection's later requests back while an old fetch waits.
func (f *fetch) hold() {
	if f.old() && !f.holds {
		f.holds, f.rq.s.busy = true, true
	}
}

// converters is how many answers are converted at a time. It is what Go has
// threads for besides the loops (cmd/chronik, heavyWorkers): eight workers that
// decompress keep a loop from its turn for tens of milliseconds, and every other
// request from a worker.
const converters = 2

// What others notice of it: a Fetch v12 of 64 KiB every 2 ms takes 0.08 to 0.09 ms
// at the median and 0.50 to 0.62 at p99 beside ten clients of Fetch v2 in another
// process that read gzip without a pause; 0.10 to 0.14 and 0.21 to 0.47 without
// them (go run ./bench/beside fetch; two cores, three rounds of 2,500). With
// buffers that were left to the collector p99 was 0.90 to 1.25.

// converterNice lets a loop that wakes have the core at once: with two cores and
// two conversions under way it otherwise waits for a turn of the kernel's.
const converterNice = 10

// convert has a converter convert what was read; the answer follows.
func (f *fetch) convert() {
	// The worker's end lets the connection go on.
	f.holds, f.converting = false, true
	magic := int8(0)
	if f.rq.version >= 2 {
		magic = 1
	}
	f.rq.resume = func() bool {
		f.respond()
		return true
	}
	f.rq.offloadTo(&f.loop.b.converters, func() kmsg.Response {
		defer f.drop() // also when it panics
		for _, fp := range f.parts {
			if fp.slice.Len > 0 {
				fp.convert(magic, f.rq.version <= hardLimitFetch, f.maxBytes, f.loop.b)
			}
		}
		return nil
	})
}

// convert fills fp.converted from fp.slice; all is what the whole answer has
// room for. Worker.
func (fp *fetchPart) convert(magic int8, hard bool, all int64, b *Broker) {
	limit := min(int64(max(fp.maxBytes, 0)), all)
	most := max(limit, fp.slice.Len)
	next := fp.offset
	// Growing it would leave twice its size behind: the checksum of each message
	// makes compressed batches longer, and so do the headers of uncompressed ones.
	// It comes from a pool, as all that a conversion takes: the collector stops
	// every thread for a moment, and one of a converter's priority is slow to stop.
	fp.room = codec.NewBuffer(int(min(most, 2*fp.slice.Len)))
	fp.converted = fp.room.B[:0]
	defer func() {
		if len(fp.converted) == 0 {
			fp.room.Release()
			fp.room = nil
		}
	}()
	for {
		err := fp.convertRange(magic, hard, limit, most, next)
		switch {
		case errors.Is(err, record.ErrZstd) && len(fp.converted) == 0:
			fp.refuseOld(errUnsupportedCompression)
			return
		case errors.Is(err, record.ErrZstd):
			return // the next fetch finds it first
		case err != nil && len(fp.converted) == 0:
			b.logger.Error("a batch cannot be converted for an old client", "topic", fp.part.topic.name, "partition", fp.index, "error", err)
			fp.refuseOld(errCorruptMessage)
			return
		case err != nil || len(fp.converted) > 0:
			return
		}
		// All of it was control batches or lay below the offset: go on behind.
		next = fp.slice.NextOffset
		fp.slice.Seg.Release()
		fp.slice = logstore.Slice{}
		s, err := fp.part.log.Read(logstore.Read{Offset: next, MaxBytes: int(limit), MinOne: true})
		if err != nil {
			fp.refuseOld(codeOf(err))
			return
		}
		if fp.slice = s; s.Len == 0 {
			return
		}
	}
}

// convertRange converts the batches of fp.slice from offset first on, until
// there are most bytes.
func (fp *fetchPart) convertRange(magic int8, hard bool, limit, most, first int64) error {
	var r chunkReader
	defer r.release()
	for at := int64(0); at < fp.slice.Len; {
		batch, err := r.batchAt(&fp.slice, at)
		if err != nil {
			return err
		}
		at += int64(len(batch))
		set, err := record.DownConvert(fp.converted, batch, magic, first, maxUnpacked)
		if err != nil {
			return err
		}
		if len(fp.converted) > 0 && int64(len(set)) > most {
			return nil // it does not fit behind the others
		}
		fp.converted = set
		if hard && int64(len(batch)) > limit && int64(len(set)) > limit {
			fp.converted = set[:limit]
			return nil
		}
	}
	return nil
}

// chunkReader gives the batches of a slice one after the other. One goroutine's.
type chunkReader struct {
	buf  *codec.Buffer // what was read last; nil before that
	left []byte        // of it: begins with the next batch unless it is used up
}

func (r *chunkReader) release() {
	if r.buf != nil {
		r.buf.Release()
	}
	r.buf, r.left = nil, nil
}

// batchAt gives the batch at a position of the slice, valid until the next call.
func (r *chunkReader) batchAt(s *logstore.Slice, at int64) ([]byte, error) {
	if s.Mem != nil {
		return cutBatch(s.Mem[at:])
	}
	batch, err := cutBatch(r.left)
	if errors.Is(err, io.ErrShortBuffer) {
		size := int64(downConvertChunk)
		if len(r.left) >= batchHeaderBytes {
			size = max(size, int64(record.Batch(r.left).Size()))
		}
		r.release()
		r.buf = codec.NewBuffer(int(min(size, s.Len-at)))
		r.left = r.buf.B
		if _, err := s.Seg.ReadAt(r.left, s.Off+at); err != nil {
			return nil, fmt.Errorf("broker: read records to convert: %w", err)
		}
		batch, err = cutBatch(r.left)
		if errors.Is(err, io.ErrShortBuffer) && len(r.left) >= batchHeaderBytes && size < int64(record.Batch(r.left).Size()) {
			return r.batchAt(s, at)
		}
	}
	if err != nil {
		return nil, err
	}
	r.left = r.left[len(batch):]
	return batch, nil
}

// cutBatch gives the first batch of b, or io.ErrShortBuffer.
func cutBatch(b []byte) ([]byte, error) {
	if len(b) < batchHeaderBytes {
		return nil, io.ErrShortBuffer
	}
	size := record.Batch(b).Size()
	if size > len(b) {
		return nil, io.ErrShortBuffer
	}
	if size < batchHeaderBytes {
		return nil, record.ErrLength
	}
	return b[:size:size], nil
}

// refuseOld makes a partition's answer an error.
func (fp *fetchPart) refuseOld(code errCode) {
	fp.code, fp.converted = code, nil
	fp.offsets = logstore.Offsets{LogStart: -1, HighWatermark: -1, LastStable: -1, LogEnd: -1}
}

// memory is converted records as a part of a response.
type memory []byte

// Fd has none: the bytes lie in memory.
func (m memory) Fd() (int, bool) { return 0, false }

// ReadFailed is not called: it is for descriptors.
func (m memory) ReadFailed(error) {}

// ReadAt is io.ReaderAt.
func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// span is the range that sends it; room goes back when it is sent. The bytes lie
// there, or in memory of their own where they outgrew it.
func (m memory) span(room *codec.Buffer) netloop.Range {
	return netloop.Range{File: m, Len: int64(len(m)), Mem: m, Hot: true, Owner: room}
}

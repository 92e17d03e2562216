package broker

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// Produce v0–2 carries message sets of format 0 and 1 (before Kafka 0.11). The
// log holds format 2 only, so that a set is made a batch before it is appended,
// as Kafka 3.9 does (LogValidator.java). v0 messages have no timestamp; the
// batch then has none either, unless the topic assigns it (LogAppendTime).

const (
	// firstBatchVersion is the first Produce with batches of format 2.
	firstBatchVersion = 3
	// upConvertOnLoop is the longest set, and the most bytes its messages may
	// decompress to, that a loop converts itself; that takes microseconds.
	upConvertOnLoop = 4 << 10
)

// upConvert makes p.packed of a set in an old format: at once, or by a worker
// (walkWorker).
func (p *produce) upConvert(target *partition, set []byte) walked {
	o := record.UpConvertOptions{Codec: record.KeepCodec, Level: int(target.topic.level.Load()), Inflate: upConvertOnLoop}
	if want := target.topic.codec.Load(); want >= 0 {
		o.Codec = compress.Codec(want)
	}
	if len(set) <= upConvertOnLoop && (o.Codec == record.KeepCodec || o.Codec == compress.None) {
		packed, err := record.UpConvert(nil, set, o)
		if !errors.Is(err, record.ErrTooLarge) {
			p.packed, p.packErr = packed, oldFormatError(err)
			return walkDone
		}
	}
	o.Inflate = maxUnpacked
	rq := p.rq
	rq.resume = p.goOn
	rq.offload(func() kmsg.Response {
		packed, err := record.UpConvert(nil, set, o)
		p.packed, p.packErr = packed, oldFormatError(err)
		return nil
	})
	return walkWorker
}

// oneOld is one for Produce v0–2; see there. A batch of format 2 is possible
// in these versions too, and goes its usual way.
func (p *produce) oneOld(part *producePart, target *partition, set []byte) walked {
	if !p.converted {
		p.converted = true
		if how := p.upConvert(target, set); how != walkDone {
			return how
		}
	}
	err := p.packErr
	if err == nil && len(p.packed) > 0 {
		err = part.append(target, p.packed, 0)
	}
	if errors.Is(err, logstore.ErrBusy) {
		return walkBusy
	}
	p.packed, p.packErr, p.converted = nil, nil, false
	if err != nil {
		part.refuseAppend(err, target)
	}
	return walkDone
}

// isOldSet reports whether records of Produce v0–2 are a message set. What is
// too short to tell has no whole message, which is no error there.
func isOldSet(version int16, records []byte) bool {
	if version >= firstBatchVersion {
		return false
	}
	magic, ok := record.MagicOf(records)
	return !ok || magic != 2
}

// cutOff is whether bytes end before their first batch does. Produce v0–2 never
// looked: a log of that age takes the whole batches that it finds (3.9's
// ProduceRequest.validateRecords asks from v3 on).
func cutOff(b []byte) bool {
	if len(b) < record.LogOverhead {
		return true
	}
	size := record.Batch(b).Size()
	return size >= 12+14 && size > len(b)
}

// oldFormatError gives the codes that Kafka has for bad message sets.
func oldFormatError(err error) error {
	code := errCorruptMessage
	switch {
	case err == nil:
		return nil
	case errors.Is(err, record.ErrTimestampType):
		code = errInvalidTimestamp
	case errors.Is(err, record.ErrZstd):
		code = errUnsupportedCompression
	case errors.Is(err, record.ErrTooLarge):
		code = errMessageTooLarge
	case errors.Is(err, record.ErrMixedMagic), errors.Is(err, record.ErrNested), errors.Is(err, record.ErrWrapper):
		code = errInvalidRecord
	}
	return refuse(code, fmt.Sprintf("The message set cannot be read: %v.", err))
}

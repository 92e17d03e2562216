package broker

import (
	"errors"
	"fmt"

	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// checkRecords is ProduceRequest.validateRecords: exactly one v2 batch. Bytes
// behind the batch that are no whole batch are cut off, as Kafka does.
func checkRecords(b []byte, version int16) ([]byte, errCode, string) {
	const overhead = 17 // up to and with magic
	if len(b) < overhead {
		return nil, errInvalidRecord, "A Produce request must have exactly one record batch for each partition."
	}
	size := record.Batch(b).Size()
	magic := int8(b[16])
	switch {
	case size < 12+14:
		return nil, errCorruptMessage, "The record batch is shorter than the smallest there is."
	case magic < 0 || magic > 2:
		return nil, errCorruptMessage, fmt.Sprintf("There is no record format with magic %d.", magic)
	case size > len(b):
		return nil, errInvalidRecord, "A Produce request must have exactly one record batch for each partition."
	case magic != 2:
		return nil, errInvalidRecord, "This version of Produce takes record batches with magic 2 only."
	case size < batchHeaderBytes:
		return nil, errCorruptMessage, "The record batch is shorter than its header."
	}
	if rest := b[size:]; len(rest) >= 12 {
		switch n := record.Batch(rest).Size(); {
		case n < 12+14:
			return nil, errCorruptMessage, "What follows the record batch is shorter than the smallest there is."
		case len(rest) >= overhead && n <= len(rest):
			return nil, errInvalidRecord, "A Produce request must have exactly one record batch for each partition."
		}
	}
	if version >= firstBatchVersion && version < 7 && batchCodec(b) == codecZstd {
		return nil, errUnsupportedCompression, "zstd needs Produce version 7."
	}
	return b[:size], errNone, ""
}

const (
	batchHeaderBytes = 61
	codecZstd        = 4
)

// batchCodec is the codec in a v2 batch's attributes.
func batchCodec(b []byte) int8 { return int8(b[22] & 7) }

func batchTransactional(b []byte) bool { return b[22]&(1<<4) != 0 }

// append gives the batch to the log; guard is for a transactional one.
func (part *producePart) append(target *partition, records []byte, guard logstore.Guard) error {
	p := part.p
	a := &p.loop.append
	*a = logstore.Append{
		Batches: records, Origin: logstore.Client, Token: part, Now: p.rq.received.UnixMilli(),
		TxnV2: p.txnV2() && batchTransactional(records), Guard: guard,
		Led:     true,
		Written: p.req.Acks == 0 || p.req.Acks == 1 && p.rq.s.b.opt.AckWritten,
	}
	got, err := target.log.Append(a)
	if err != nil {
		return err
	}
	p.loop.nl.Lend(p.loop)
	part.waiting = true
	p.pending++
	part.res.BaseOffset, part.res.LogAppendTime, part.res.LogStartOffset = got.BaseOffset, got.AppendTime, got.LogStartOffset
	if !got.Duplicate {
		p.loop.load.producedBytes.Add(int64(len(records)))
		p.loop.load.producedBatches.Add(1)
	}
	return nil
}

func (part *producePart) refuse(code errCode, why string) {
	part.res.ErrorCode, part.res.ErrorMessage = code, why
	part.res.BaseOffset, part.res.LogAppendTime, part.res.LogStartOffset = -1, -1, -1
	part.p.failed = true
}

// refuseAppend refuses what the log of target did not take. Kafka tells where
// the log starts unless the batch was damaged or too large or there is no log
// (ReplicaManager.appendToLocalLog).
func (part *producePart) refuseAppend(err error, target *partition) {
	part.refuseErr(err)
	switch part.res.ErrorCode {
	case errCorruptMessage, errMessageTooLarge, errRecordListTooLarge, errStorage, errNotLeaderOrFollower:
	default:
		part.res.LogStartOffset = target.log.Offsets().LogStart
	}
}

func (part *producePart) refuseErr(err error) {
	part.refuse(codeOf(err), err.Error())
	var bad *logstore.InvalidRecords
	if errors.As(err, &bad) {
		for _, r := range bad.Records {
			part.res.RecordErrors = append(part.res.RecordErrors, codec.ProduceRecordError{Index: r.Index, Message: r.Message})
		}
	}
	if part.res.ErrorCode == errUnknownServer {
		part.p.rq.s.b.logger.Error("an append failed", "partition", part.res.Partition, "error", err)
	}
}

package logstore

import (
	"errors"
	"fmt"
	"math"

	"github.com/chronik-stream/chronik/codec/record"
)

// appendSummary is what validate learned about an append's batches.
type appendSummary struct {
	offsets  int64 // offsets they take
	maxTs    int64
	appended int64 // LogAppendTime, or -1
}

// validate checks what needs no lock and stamps LogAppendTime.
func (l *Log) validate(a *Append, cfg *LogConfig) (sum appendSummary, err error) {
	sum = appendSummary{maxTs: -1, appended: -1}
	if len(a.Batches) > int(cfg.SegmentBytes) {
		return sum, ErrSegmentTooSmall
	}
	rules := record.Rules{Client: a.Origin == Client, Inflate: a.Inflate}
	if a.Origin == Client {
		rules.NeedKeys = cfg.Compact
		rules.Times = !cfg.LogAppendTime
		rules.Earliest, rules.Latest = timeWindow(a.Now, cfg)
	}
	if cfg.LogAppendTime {
		sum.appended = a.Now
	}
	n := 0
	for rest := a.Batches; len(rest) > 0; n++ {
		b, after, err := record.Next(rest)
		if err != nil {
			return sum, refusal(err)
		}
		rest = after
		if a.Origin == Client && len(b) > int(cfg.MaxMessageBytes) {
			return sum, ErrTooLarge
		}
		found, err := record.Validate(b, &rules)
		if err != nil {
			return sum, refusal(err)
		}
		switch {
		case b.Transactional() && b.ProducerID() < 0:
			return sum, ErrInvalidRecord
		case cfg.LogAppendTime:
			b.SetLogAppendTime(a.Now)
		case found.Walked && found.MaxTimestamp != b.MaxTimestamp() && !b.LogAppendTime():
			b.SetMaxTimestamp(found.MaxTimestamp)
		}
		sum.offsets += int64(b.LastOffsetDelta()) + 1
		sum.maxTs = max(sum.maxTs, b.MaxTimestamp())
	}
	if n == 0 || (a.Origin == Client && n != 1) {
		return sum, ErrInvalidRecord
	}
	return sum, nil
}

// timeWindow is what message.timestamp.before.max.ms and .after.max.ms allow.
func timeWindow(now int64, cfg *LogConfig) (earliest, latest int64) {
	earliest, latest = math.MinInt64, math.MaxInt64
	if cfg.BeforeMaxMs < math.MaxInt64-max(now, 0) {
		earliest = now - cfg.BeforeMaxMs
	}
	if cfg.AfterMaxMs < math.MaxInt64-max(now, 0) {
		latest = now + cfg.AfterMaxMs
	}
	return earliest, latest
}

// refusal turns an error of the record format into one of this package's.
func refusal(err error) error {
	why := ErrInvalidRecord
	switch {
	case errors.Is(err, record.ErrShort), errors.Is(err, record.ErrLength), errors.Is(err, record.ErrCRC), errors.Is(err, record.ErrDecompress):
		why = ErrCorrupt
	case errors.Is(err, record.ErrTimestamp), errors.Is(err, record.ErrTimestampType):
		why = ErrInvalidTimestamp
	case errors.Is(err, record.ErrCodec):
		why = ErrUnsupportedCodec
	case errors.Is(err, record.ErrTooLarge):
		why = ErrTooLarge
	}
	var bad *record.InvalidRecords
	if !errors.As(err, &bad) {
		return fmt.Errorf("%w: %w", why, err)
	}
	out := &InvalidRecords{Err: fmt.Errorf("%w: %w", why, err), Records: make([]RecordError, len(bad.Records))}
	for i, r := range bad.Records {
		out.Records[i] = RecordError{Index: r.Index, Message: r.Err.Error()}
	}
	return out
}

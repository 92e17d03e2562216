package logstore

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// What the files of a stopped data directory say, as values: `chronik dump`
// prints them. Nothing here writes or locks, and nothing believes a length that
// it read: damage is an error or a field, never a panic.

// IndexEntry is an entry of .index: the batch at Position has the last offset
// Offset.
type IndexEntry struct {
	Offset   int64 `json:"offset"`
	Position int32 `json:"position"`
}

// TimeIndexEntry is an entry of .timeindex: up to the batch with last offset
// Offset the largest timestamp is Timestamp.
type TimeIndexEntry struct {
	Timestamp int64 `json:"timestamp"`
	Offset    int64 `json:"offset"`
}

// AbortedEntry is an entry of .txnindex.
type AbortedEntry struct {
	ProducerID  int64 `json:"producerId"`
	FirstOffset int64 `json:"firstOffset"`
	LastOffset  int64 `json:"lastOffset"`
	LastStable  int64 `json:"lastStableOffset"`
}

// ProducerEntry is an entry of .snapshot, or of a log in the checkpoint.
type ProducerEntry struct {
	ID               int64 `json:"producerId"`
	Epoch            int16 `json:"epoch"`
	LastSequence     int32 `json:"lastSequence"`
	LastOffset       int64 `json:"lastOffset"`
	OffsetDelta      int32 `json:"offsetDelta"`
	Timestamp        int64 `json:"timestamp"`
	CoordinatorEpoch int32 `json:"coordinatorEpoch"`
	TxnFirstOffset   int64 `json:"currentTxnFirstOffset"`
}

// OffsetLine is a line of one of Kafka's offset checkpoints.
type OffsetLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// EpochLine is a line of leader-epoch-checkpoint.
type EpochLine struct {
	Epoch int32 `json:"epoch"`
	Start int64 `json:"startOffset"`
}

// DamageLine is a line of damaged-ranges: offsets [From, To) cannot be read.
type DamageLine struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// CheckpointDump is <data>/checkpoint.
type CheckpointDump struct {
	Generation uint32          `json:"journalGeneration"`
	Group      uint64          `json:"journalGroup"`
	Logs       []CheckpointLog `json:"logs"`
}

// CheckpointLog is a log in the checkpoint: its state at its recovery point.
type CheckpointLog struct {
	Topic         string          `json:"topic"`
	Partition     int32           `json:"partition"`
	ID            string          `json:"topicId"`
	Generation    uint32          `json:"journalGeneration"`
	LogStart      int64           `json:"logStartOffset"`
	RecoveryPoint int64           `json:"recoveryPoint"`
	Segment       int64           `json:"activeSegment"`
	Position      int64           `json:"position"`
	Bytes         int64           `json:"bytes"`
	LeaderEpoch   int32           `json:"leaderEpoch"`
	MaxTimestamp  int64           `json:"maxTimestamp"`
	OpenTxns      []AbortedEntry  `json:"openTransactions"`
	Producers     []ProducerEntry `json:"producers"`
}

// dumpLimit bounds the files that are read whole.
const dumpLimit = 1 << 30

// DumpLog walks the batches of a .log file: f gets each with its byte position,
// CRC checked, valid during the call. It ends without an error at zeros, which
// a preallocated tail is made of. An error says where and why it stopped.
func DumpLog(disk vfs.FS, name string, f func(pos int64, b record.Batch) error) error {
	file, err := disk.OpenRead(name)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return err
	}
	s := &batchScan{r: file, name: name, end: size}
	for {
		b, pos, err := s.batch()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if zeros, zerr := allZeros(file, s.pos, size); zerr == nil && zeros {
				return nil
			}
			return err
		}
		if err := f(pos, b); err != nil {
			return err
		}
	}
}

// allZeros reports whether a file holds zeros from off to end.
func allZeros(r io.ReaderAt, off, end int64) (bool, error) {
	buf := make([]byte, scanBuffer)
	for off < end {
		want := int(min(int64(len(buf)), end-off))
		n, err := r.ReadAt(buf[:want], off)
		if n < want {
			return false, err
		}
		if slices.ContainsFunc(buf[:n], func(b byte) bool { return b != 0 }) {
			return false, nil
		}
		off += int64(n)
	}
	return true, nil
}

// Dump reads any file of a data directory but .log and .journal files (see
// [DumpLog], [DumpJournal]) and gives one of the types above, a slice of them,
// or a [Seal]. The kind is told from the name.
func Dump(disk vfs.FS, name string) (any, error) {
	raw, err := readFile(disk, name, dumpLimit)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	v, err := dumpBytes(base, raw)
	if err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

func dumpBytes(base string, raw []byte) (any, error) {
	// A file keeps its kind while it waits for deletion or a swap.
	for _, s := range []string{suffixDeleted, suffixSwap, suffixCleaned} {
		base = strings.TrimSuffix(base, s)
	}
	suffix := filepath.Ext(base)
	at, isSegment := parseSegmentName(base, suffix)
	switch {
	case base == fileCheckpoint:
		return dumpCheckpoint(raw)
	case base == fileEpochs:
		list, err := decodeEpochs(string(raw))
		return mapSlice(list, func(e epochStart) EpochLine { return EpochLine{e.epoch, e.start} }), err
	case base == fileDamaged:
		list, err := decodeDamage(raw)
		return mapSlice(list, func(d damagedRange) DamageLine { return DamageLine{d.from.offset, d.to.offset} }), err
	case strings.HasSuffix(base, "-checkpoint"):
		list, err := decodeOffsets(string(raw))
		return mapSlice(list, func(l partitionOffset) OffsetLine { return OffsetLine{l.topic, l.partition, l.offset} }), err
	case !isSegment:
		return nil, errors.New("the name is not one of a file that can be dumped: .index, .timeindex, .txnindex, .snapshot, .seal, .replaces, checkpoint and the text checkpoints are")
	}
	switch suffix {
	case suffixIndex:
		return dumpEntries(raw, offsetFormat, func(e offsetEntry) IndexEntry { return IndexEntry{at + int64(e.rel), e.pos} })
	case suffixTime:
		return dumpEntries(raw, timeFormat, func(e timeEntry) TimeIndexEntry { return TimeIndexEntry{e.ts, at + int64(e.rel)} })
	case suffixTxn:
		return dumpEntries(raw, txnFormat, func(e txnEntry) AbortedEntry { return AbortedEntry{e.producer, e.first, e.last, e.stable} })
	case suffixSnapshot:
		p, err := decodeSnapshot(raw)
		return dumpProducers(&p), err
	case suffixSeal:
		return decodeSeal(raw)
	case suffixReplaces:
		return decodeReplaces(string(raw))
	}
	return nil, fmt.Errorf("files with the suffix %q are not known", suffix)
}

func mapSlice[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

// dumpEntries gives the entries there are, with an error when they break their
// order or end inside one. Zeros behind them are what Kafka, while it runs or after
// a kill, has ahead of an active segment's entries; it never writes an aborted
// transaction ahead.
func dumpEntries[E, D any](raw []byte, f *entryFormat[E], show func(E) D) ([]D, error) {
	out := make([]D, 0, len(raw)/f.size)
	var last E
	for i := 0; len(raw) >= f.size; i, raw = i+1, raw[f.size:] {
		e := f.get(raw)
		follows := i == 0 || f.follows(last, e)
		// One entry of zeros may be a record at time 0; more are not.
		if (!follows || i == 0 && len(raw) > f.size) && f.suffix != suffixTxn && !slices.ContainsFunc(raw, func(b byte) bool { return b != 0 }) {
			return out, nil
		}
		if !follows {
			return out, fmt.Errorf("entry %d: %w", i, errBadIndex)
		}
		out = append(out, show(e))
		last = e
	}
	if len(raw) > 0 {
		return out, fmt.Errorf("%d bytes are left behind entry %d", len(raw), len(out))
	}
	return out, nil
}

func dumpProducers(p *producers) []ProducerEntry {
	out := []ProducerEntry{}
	for _, x := range p.list() {
		e := p.get(x.ID)
		d := ProducerEntry{ID: x.ID, Epoch: e.epoch, LastSequence: -1, LastOffset: -1, Timestamp: e.timestamp, CoordinatorEpoch: e.coordinatorEpoch, TxnFirstOffset: e.txnFirst}
		if e.n > 0 {
			b := e.batches[e.n-1]
			d.LastSequence, d.LastOffset, d.OffsetDelta = b.lastSeq, b.lastOffset, b.delta
		}
		out = append(out, d)
	}
	return out
}

func dumpCheckpoint(raw []byte) (d CheckpointDump, err error) {
	if len(raw) < checkpointHead {
		return d, errBadCheckpoint
	}
	mark, entries, err := decodeCheckpoint(raw, [16]byte(raw[8:24]))
	if err != nil {
		return d, err
	}
	d = CheckpointDump{Generation: mark.generation, Group: mark.seq, Logs: []CheckpointLog{}}
	for _, b := range entries {
		e, err := decodeLogEntry(b)
		if err != nil {
			return d, err
		}
		l := CheckpointLog{
			Topic: e.topic, Partition: e.key.partition, ID: e.key.id.String(), Generation: e.generation,
			LogStart: e.start, RecoveryPoint: e.recovery, Segment: e.base, Position: e.pos, Bytes: e.size,
			LeaderEpoch: e.epoch, MaxTimestamp: e.maxTs, OpenTxns: []AbortedEntry{}, Producers: dumpProducers(&e.prod),
		}
		for _, t := range e.txns {
			l.OpenTxns = append(l.OpenTxns, AbortedEntry{ProducerID: t.producer, FirstOffset: t.first.offset, LastOffset: -1, LastStable: -1})
		}
		d.Logs = append(d.Logs, l)
	}
	slices.SortFunc(d.Logs, func(a, b CheckpointLog) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	return d, nil
}

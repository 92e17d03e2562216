package bench

import (
	"fmt"
	"sync"
)

// TxnVerdict is what a TxnCheck has found of one group.
type TxnVerdict struct {
	Group       string `json:"group"`
	Values      int64  `json:"values"` // acknowledged into the input
	Committed   int64  `json:"transactions_committed"`
	Aborted     int64  `json:"transactions_aborted"`
	Open        int64  `json:"transactions_of_unknown_end"`
	Killed      int64  `json:"workers_killed"`
	Read        int64  `json:"read"`
	Lost        int64  `json:"lost"`
	Duplicated  int64  `json:"duplicated"`
	AbortedRead int64  `json:"aborted_read"`
	Torn        int64  `json:"torn"`      // transactions of which only a part was read
	Reordered   int64  `json:"reordered"` // values after a later one of their partition
	// Backwards counts polls, of the output or by a worker, that did not go
	// forward; Skipped offsets that a worker's polls jumped over.
	Backwards int64 `json:"backwards"`
	Skipped   int64 `json:"skipped"`
	Unknown   int64 `json:"unknown"` // values that nobody has sent
	// First tells the first broken promise in words.
	First string `json:"first,omitempty"`
}

// Bad reports whether a promise was broken.
func (v *TxnVerdict) Bad() bool {
	return v.Lost+v.Duplicated+v.AbortedRead+v.Torn+v.Reordered+v.Backwards+v.Skipped+v.Unknown > 0
}

func (v *TxnVerdict) String() string {
	s := fmt.Sprintf("group %s: %d values, %d transactions committed, %d aborted, %d of unknown end, %d workers killed; %d read: %d lost, %d duplicated, %d aborted but read, %d torn, %d reordered, %d backwards, %d skipped, %d unknown",
		v.Group, v.Values, v.Committed, v.Aborted, v.Open, v.Killed, v.Read, v.Lost, v.Duplicated, v.AbortedRead, v.Torn, v.Reordered, v.Backwards, v.Skipped, v.Unknown)
	if v.First != "" {
		s += "; the first: " + v.First
	}
	return s
}

// outcome is a record of the output topic.
type outcome struct {
	Value   int64 `json:"v"`
	Attempt int64 `json:"a"` // the transaction that carried it
	// From is the offset of the value in the input; its partition is that of the
	// output as well.
	From int64 `json:"f"`
}

// txnHistory holds what a group's workers did, and what a read_committed reader
// of its output was given, against what exactly-once promises. It may be used by
// several goroutines; see is for the reader alone.
type txnHistory struct {
	mu      sync.Mutex
	v       TxnVerdict
	dropped map[int64]bool  // attempts that must never be read
	size    map[int64]int64 // records of an attempt
	read    map[int64]int64 // of which were read
	seen    bitset
	out     map[int32]int64 // the output's offset last read
	from    map[int32]int64 // the input's offset last carried over
}

func newTxnHistory(group string) *txnHistory {
	return &txnHistory{v: TxnVerdict{Group: group}, dropped: map[int64]bool{}, size: map[int64]int64{}, read: map[int64]int64{},
		out: map[int32]int64{}, from: map[int32]int64{}}
}

// broken counts a broken promise and keeps the words of the first.
func (h *txnHistory) broken(count *int64, n int64, format string, args ...any) {
	*count += n
	if h.v.First == "" {
		h.v.First = fmt.Sprintf(format, args...)
	}
}

// carried tells how many records an attempt has produced.
func (h *txnHistory) carried(attempt, records int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size[attempt] = records
}

// drop tells that an attempt will not, or did not, commit.
func (h *txnHistory) drop(attempt int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped[attempt] = true
}

// count adds to a counter of the verdict.
func (h *txnHistory) count(counter func(*TxnVerdict) *int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*counter(&h.v)++
}

// see tells of a record that the reader was given; values is how many were sent.
func (h *txnHistory) see(partition int32, offset int64, o outcome, values int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, ok := h.out[partition]; ok && offset <= at {
		h.broken(&h.v.Backwards, 1, "the reader was given offset %d of partition %d after %d", offset, partition, at)
	}
	h.out[partition] = offset
	if o.Value < 0 || o.Value >= values {
		h.broken(&h.v.Unknown, 1, "value %d at offset %d of partition %d was never sent", o.Value, offset, partition)
		return
	}
	h.v.Read++
	h.read[o.Attempt]++
	if !h.seen.set(uint64(o.Value)) {
		h.broken(&h.v.Duplicated, 1, "value %d came again, at offset %d of partition %d, by transaction %d", o.Value, offset, partition, o.Attempt)
		return
	}
	if last, ok := h.from[partition]; ok && o.From < last {
		h.broken(&h.v.Reordered, 1, "value %d, of offset %d of partition %d, came after that of offset %d", o.Value, o.From, partition, last)
		return
	}
	h.from[partition] = o.From
}

// distinct is how many values were read.
func (h *txnHistory) distinct() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.v.Read - h.v.Duplicated
}

// verdict sums up after values 0 to values-1 were acknowledged into the input.
func (h *txnHistory) verdict(values int64) *TxnVerdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.v
	v.Values = values
	tell := func(format string, args ...any) {
		if v.First == "" {
			v.First = fmt.Sprintf(format, args...)
		}
	}
	for n := range values {
		if !h.seen.has(uint64(n)) {
			v.Lost++
			tell("value %d is not in the output", n)
		}
	}
	for attempt, n := range h.read {
		switch {
		case h.dropped[attempt]:
			v.AbortedRead += n
			tell("transaction %d was aborted, and %d of its records were read", attempt, n)
		case n != h.size[attempt]:
			v.Torn++
			tell("transaction %d had %d records, and %d were read", attempt, h.size[attempt], n)
		}
	}
	return &v
}

// polls follows the offsets that one session of a worker is given: they go on
// after a commit, and begin again where the transaction began after an abort. It
// may be used by several goroutines.
type polls struct {
	mu    sync.Mutex
	next  map[int32]int64 // what must come next; a partition that is new has none
	begin map[int32]int64 // where the transaction under way began
}

func newPolls() *polls { return &polls{next: map[int32]int64{}, begin: map[int32]int64{}} }

// forget lets partitions begin anywhere; all of them without a list.
func (p *polls) forget(partitions ...int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(partitions) == 0 {
		clear(p.next)
		clear(p.begin)
	}
	for _, n := range partitions {
		delete(p.next, n)
		delete(p.begin, n)
	}
}

// polled tells h of a record that the worker was given.
func (p *polls) polled(h *txnHistory, partition int32, offset int64) {
	p.mu.Lock()
	next, known := p.next[partition]
	if _, begun := p.begin[partition]; !begun {
		p.begin[partition] = offset
	}
	p.next[partition] = offset + 1
	p.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case known && offset < next:
		h.broken(&h.v.Backwards, 1, "a worker was given offset %d of partition %d where %d was next", offset, partition, next)
	case known && offset > next:
		h.broken(&h.v.Skipped, offset-next, "a worker was given offset %d of partition %d where %d was next", offset, partition, next)
	}
}

// committed and aborted end the transaction under way.
func (p *polls) committed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.begin)
}

func (p *polls) aborted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for partition, at := range p.begin {
		p.next[partition] = at
	}
	clear(p.begin)
}

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// limit is the longest that a cell may take: a JVM's start and two rebalances
// on a busy machine are within it.
const limit = 60 * time.Second

// refusal is how long a client is given to read what it cannot: some ask for
// ever.
const refusal = 5 * time.Second

// A cell is one thing that one client was asked to do.
type cell struct {
	verdict string // see report.go
	why     error  // of a failure
	note    string // of a fault of the client's own
}

func passed() cell          { return cell{verdict: "✓"} }
func cannot() cell          { return cell{verdict: "–"} }
func refused() cell         { return cell{verdict: "refused"} }
func failed(err error) cell { return cell{verdict: "FAILED", why: err} }

func verdict(err error) cell {
	if err != nil {
		return failed(err)
	}
	return passed()
}

// produce has the client write with a codec, and holds what is stored against it.
func (m *matrix) produce(r *row, w *worker, n int, codec string) cell {
	if !slices.Contains(strings.Fields(r.codecs), codec) {
		return cannot()
	}
	topic := fmt.Sprintf("written-%d-%s", n, codec)
	if err := m.create(topic); err != nil {
		return failed(err)
	}
	a, err := w.do(limit, "produce", topic, codec, records)
	if err != nil {
		return failed(err)
	}
	got, used, err := m.stored(topic, records)
	if err != nil {
		return failed(err)
	}
	for i, offset := range a.acked {
		if offset != int64(i) && r.client != "kcat" {
			return failed(fmt.Errorf("record %d was acknowledged at offset %d", i, offset))
		}
	}
	if len(got) != records {
		return failed(fmt.Errorf("%d records are stored, %d were sent", len(got), records))
	}
	for i, g := range got {
		w := want(i, int64(i), r.sendsTime)
		if !r.sendsTime && r.showsTime {
			w.time = g.time // the client's clock
		}
		if g != w {
			return failed(fmt.Errorf("record %d is stored as %v, sent was %v", i, g, w))
		}
	}
	if len(used) != 1 || !used[codec] {
		return failed(fmt.Errorf("the stored batches have codecs %v", used))
	}
	return passed()
}

// consume has the client read a sample.
func (m *matrix) consume(r *row, w *worker, codec string) cell {
	wait := limit
	if codec == "zstd" && r.zstd != zstdRead {
		wait = refusal
	}
	a, err := w.do(wait, "consume", "sample-"+codec, plainOffset(records-1))
	if codec == "zstd" {
		switch {
		case r.zstd == zstdRefused && len(a.records) > 0:
			return failed(fmt.Errorf("%d records came through an API that has no zstd", len(a.records)))
		case r.zstd == zstdRefused:
			return refused()
		case r.zstd == zstdAsStored && err != nil && len(a.records) == 0:
			return cannot()
		}
	}
	if err != nil {
		return failed(err)
	}
	return verdict(compare(a.records, 0, records, r.showsTime, plainOffset))
}

// transaction has the client read past a transaction's control batch, which no
// client may show.
func (m *matrix) transaction(r *row, w *worker) cell {
	a, err := w.do(limit, "consume", "sample-transaction", transactionOffset(records-1))
	if err != nil {
		return failed(err)
	}
	return verdict(compare(a.records, 0, records, r.showsTime, transactionOffset))
}

// group has two members read a topic one after the other, with a commit between.
func (m *matrix) group(r *row, w *worker, n int) cell {
	if r.noGroup {
		return cannot()
	}
	topic, group := fmt.Sprintf("grouped-%d", n), fmt.Sprintf("group-%d", n)
	if err := m.create(topic); err != nil {
		return failed(err)
	}
	for _, half := range [][2]int{{0, records / 2}, {records / 2, records}} {
		if err := m.write(topic, "gzip", half[0], half[1], false); err != nil {
			return failed(err)
		}
		a, err := w.do(limit, "member", topic, group, half[1]-1)
		if err == nil {
			err = compare(a.records, half[0], half[1], r.showsTime, plainOffset)
		}
		if err != nil {
			return failed(fmt.Errorf("the member that reads from %d on: %w", half[0], err))
		}
	}
	return passed()
}

// compare holds what was read against records first to end-1.
func compare(got []record, first, end int, showsTime bool, offset func(int) int64) error {
	for i, g := range got {
		if first+i >= end {
			return fmt.Errorf("%d records came, %d were there", len(got), end-first)
		}
		if w := want(first+i, offset(first+i), showsTime); g != w {
			return fmt.Errorf("record %d came back as %v, stored was %v", first+i, g, w)
		}
	}
	if len(got) < end-first {
		return fmt.Errorf("%d of %d records came", len(got), end-first)
	}
	return nil
}

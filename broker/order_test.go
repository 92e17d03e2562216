package broker

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

// TestOrderBehindWorker: a batch that a worker has to recompress comes before
// the batch behind it on the connection, which needs no worker.
func TestOrderBehindWorker(t *testing.T) {
	b := run(t, nil)
	codec := "zstd"
	id := makeTopic(t, b, "z", 1, map[string]*string{"compression.type": &codec})
	large := func() []byte {
		o := record.DefaultBuilderOptions()
		o.Codec = compress.Gzip
		bld := record.NewBuilder(nil, o)
		bld.Append(1_700_000_000_000, nil, bytes.Repeat([]byte("0123456789abcdef"), 40_000))
		raw, err := bld.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	w := dial(t, b)
	const pairs = 20
	var all []byte
	for i := range int32(pairs) {
		all = append(all, frame(produceOf(9, "z", id, -1, large()), 2*i)...)
		all = append(all, frame(produceOf(9, "z", id, -1, batchOf(t, compress.Zstd, 1)), 2*i+1)...)
	}
	w.write(all)
	for i := range int32(2 * pairs) {
		p := w.answer(produceOf(9, "", id, 0, nil), i).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Fatalf("request %d: code %d, offset %d", i, p.ErrorCode, p.BaseOffset)
		}
	}
}

// TestNoMissedWake: a fetch that parks while a record comes in never sleeps
// over it, however the two meet.
func TestNoMissedWake(t *testing.T) {
	b := run(t, func(o *Options) { o.Durability, o.Loops = logstore.OS, 2 })
	makeTopic(t, b, "t", 1, nil)
	rounds := 3000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	w, p := dial(t, b), dial(t, b)
	batch := batchOf(t, compress.None, 1)
	req := fetchOf(12, "t", [16]byte{}, 0)
	req.MaxWaitMillis = 20000
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range rounds {
		req.Topics[0].Partitions[0].FetchOffset = int64(i)
		produce := frame(produceOf(9, "t", [16]byte{}, -1, append([]byte(nil), batch...)), int32(i))
		start := make(chan struct{})
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			if _, err := p.conn.Write(produce); err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		close(start)
		part := onlyPart(t, ask[*kmsg.FetchResponse](w, req))
		if took := time.Since(began); took > 10*time.Second {
			t.Fatalf("round %d: the fetch slept for %v over a record", i, took)
		}
		if part.ErrorCode != 0 || part.HighWatermark < int64(i)+1 {
			t.Fatalf("round %d: code %d, high watermark %d", i, part.ErrorCode, part.HighWatermark)
		}
		if _, err := p.read(); err != nil {
			t.Fatal(err)
		}
		if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

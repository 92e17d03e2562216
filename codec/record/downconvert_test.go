package record_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/chronik-stream/chronik/codec/compress"
	"github.com/chronik-stream/chronik/codec/record"
)

// TestDownConvertTogether: conversions share their buffers, and none sees
// another's records.
func TestDownConvertTogether(t *testing.T) {
	type job struct{ batch, want []byte }
	var jobs []job
	for i, codec := range []compress.Codec{compress.Gzip, compress.Snappy, compress.LZ4, compress.None, compress.Gzip, compress.Snappy} {
		o := record.DefaultBuilderOptions()
		o.Codec = codec
		bld := record.NewBuilder(nil, o)
		for j := range 20 * (i + 1) {
			bld.Append(1_700_000_000_000, fmt.Append(nil, i, "k", j), bytes.Repeat(fmt.Append(nil, i, j), 1+i*40))
		}
		b, err := bld.Finish()
		if err != nil {
			t.Fatal(err)
		}
		want, err := record.DownConvert(nil, b, 1, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		// What was made does not lie in what the next conversion uses.
		jobs = append(jobs, job{b, bytes.Clone(want)})
		for _, before := range jobs {
			got, err := record.DownConvert(nil, before.batch, 1, 0, 1<<20)
			if err != nil || !bytes.Equal(got, before.want) {
				t.Fatalf("a second conversion differs: %v", err)
			}
		}
		if !bytes.Equal(want, jobs[i].want) {
			t.Fatalf("%v: another conversion changed what was made", codec)
		}
	}
	var running sync.WaitGroup
	for worker := range 4 {
		running.Go(func() {
			for round := range 100 {
				j := jobs[(worker+round)%len(jobs)]
				got, err := record.DownConvert(nil, j.batch, 1, 0, 1<<20)
				if err != nil || !bytes.Equal(got, j.want) {
					t.Errorf("worker %d, round %d: the conversion differs: %v", worker, round, err)
					return
				}
			}
		})
	}
	running.Wait()
}

// BenchmarkDownConvert is a batch of 200 records in gzip, for the bytes that it
// leaves behind.
func BenchmarkDownConvert(b *testing.B) {
	o := record.DefaultBuilderOptions()
	o.Codec = compress.Gzip
	bld := record.NewBuilder(nil, o)
	for j := range 200 {
		bld.Append(1_700_000_000_000, fmt.Append(nil, "k", j), bytes.Repeat([]byte{byte('a' + j%26)}, 20))
	}
	batch, err := bld.Finish()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		if dst, err = record.DownConvert(dst[:0], batch, 1, 0, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

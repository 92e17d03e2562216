package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// drawOld draws records with offsets from 0: null and empty fields, any times,
// headers.
func drawOld(t *rapid.T) (out []oldRecord) {
	field := rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOfN(rapid.Byte(), 1, 40), rapid.Map(rapid.IntRange(1, 9), func(n int) []byte {
		return make([]byte, 1000*n)
	}))
	for i := range rapid.IntRange(1, 8).Draw(t, "records") {
		r := oldRecord{offset: int64(i), time: rapid.Int64Range(-1, 1_700_000_000_000).Draw(t, "time")}
		r.key, r.value = field.Draw(t, "key"), field.Draw(t, "value")
		for range rapid.IntRange(0, 2).Draw(t, "headers") {
			r.headers = append(r.headers, kmsg.Header{Key: "h", Value: field.Draw(t, "header")})
		}
		out = append(out, r)
	}
	return out
}

// shifted are records as the log has them: from offset base on, at time at
// unless that is 0.
func shifted(records []oldRecord, base, at int64) []oldRecord {
	out := slices.Clone(records)
	for i := range out {
		out[i].offset = base + int64(i)
		if at != 0 {
			out[i].time = at
		}
	}
	return out
}

// TestOldFormatsBothWays sends any records as a message set of format 0 or 1 or
// as a batch of format 2, in each codec, wrappers with inner offsets from 0 and
// absolute, to topics of both timestamp types, and reads them in every format
// from any offset on, by the encoder and decoder of old_oracle_test.go.
func TestOldFormatsBothWays(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	kind := "LogAppendTime"
	makeTopic(t, b, "created", 1, nil)
	makeTopic(t, b, "stamped", 1, map[string]*string{"message.timestamp.type": &kind})
	rapid.Check(t, func(r *rapid.T) {
		if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		topic := rapid.SampledFrom([]string{"created", "stamped"}).Draw(r, "topic")
		in := rapid.Int8Range(0, 2).Draw(r, "format")
		codec := rapid.Int8Range(0, 3).Draw(r, "codec")
		records := drawOld(r)
		var set []byte
		var err error
		version := int16(3)
		if in == 2 {
			set, err = oracleBatch(codec, records)
		} else {
			set, err = oracleSet(in, codec, rapid.Bool().Draw(r, "absolute"), records)
			version = map[int8]int16{0: rapid.Int16Range(0, 1).Draw(r, "version"), 1: 2}[in]
		}
		if err != nil {
			r.Fatal(err)
		}
		p := ask[*kmsg.ProduceResponse](w, produceOf(version, topic, [16]byte{}, -1, set)).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			r.Fatalf("code %d", p.ErrorCode)
		}
		want := shifted(records, p.BaseOffset, 0)
		switch {
		case topic == "stamped":
			at := p.LogAppendTime
			if version < 2 { // the answer does not tell
				at = onDisk(r, w, topic, p.BaseOffset)[0].time
			}
			if now := time.Now().UnixMilli(); at < now-30_000 || at > now {
				r.Fatalf("LogAppendTime %d", at)
			}
			want = shifted(records, p.BaseOffset, at)
		case in == 0:
			want = shifted(records, p.BaseOffset, -1)
		}
		disk := onDisk(r, w, topic, p.BaseOffset)
		if err := same(disk, want); err != nil {
			r.Fatalf("on disk: %v", err)
		}
		for i, d := range disk {
			if in == 2 && fmt.Sprint(d.headers) != fmt.Sprint(records[i].headers) {
				r.Fatalf("headers of record %d: %v, want %v", i, d.headers, records[i].headers)
			}
		}
		from := p.BaseOffset + int64(rapid.IntRange(0, len(records)-1).Draw(r, "from"))
		for fetch := int16(0); fetch <= 3; fetch++ {
			part := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(fetch, topic, [16]byte{}, from)))
			got, err := oracleMessages(part.RecordBatches, int8(fetch/2))
			if err != nil {
				r.Fatalf("fetch v%d: %v", fetch, err)
			}
			if codec == 0 && got[0].offset != from {
				r.Errorf("fetch v%d from %d begins at %d", fetch, from, got[0].offset)
			}
			// A wrapper comes whole; its client passes over what it did not ask for.
			got = slices.DeleteFunc(got, func(o oldRecord) bool { return o.offset < from })
			expect := want[from-p.BaseOffset:]
			if fetch < 2 {
				expect = shifted(expect, from, -1)
			}
			if err := same(got, expect); err != nil {
				r.Fatalf("fetch v%d: %v", fetch, err)
			}
		}
	})
}

// onDisk reads what the log has from an offset on, in its own format.
func onDisk(t *rapid.T, w *wire, topic string, offset int64) []oldRecord {
	records, _, err := oracleBatches(onlyPart(w.t, ask[*kmsg.FetchResponse](w, fetchOf(12, topic, [16]byte{}, offset))).RecordBatches)
	if err != nil || len(records) == 0 {
		t.Fatalf("on disk: %d records, %v", len(records), err)
	}
	return records
}

// TestZstdByVersion: zstd goes in from Produce v7 on and comes out from Fetch v4
// on, or v10 where the topic itself is set to it (KafkaApis of 3.9); before that
// it is refused with UNSUPPORTED_COMPRESSION_TYPE.
func TestZstdByVersion(t *testing.T) {
	b := run(t, nil)
	w := dial(t, b)
	zstd := "zstd"
	makeTopic(t, b, "any", 1, nil)
	makeTopic(t, b, "zstd", 1, map[string]*string{"compression.type": &zstd})
	records := []oldRecord{{time: 5, key: []byte("k"), value: []byte("v")}}
	batch, err := oracleBatch(4, records)
	if err != nil {
		t.Fatal(err)
	}
	for version := int16(0); version <= 12; version++ {
		set, want := batch, errUnsupportedCompression
		if version < 3 {
			magic := max(0, int8(version)-1)
			set = oracleMessage(magic, 4, oldRecord{time: 5, value: []byte("whatever")})
		}
		if version >= 7 {
			want = errNone
		}
		if p := ask[*kmsg.ProduceResponse](w, produceOf(version, "any", [16]byte{}, -1, set)).Topics[0].Partitions[0]; p.ErrorCode != want {
			t.Errorf("Produce v%d: code %d, want %d", version, p.ErrorCode, want)
		}
	}
	if p := ask[*kmsg.ProduceResponse](w, produceOf(7, "zstd", [16]byte{}, -1, batch)).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Fatal(p.ErrorCode)
	}
	for version := int16(0); version <= 12; version++ {
		for topic, least := range map[string]int16{"any": 4, "zstd": 10} {
			part := onlyPart(t, ask[*kmsg.FetchResponse](w, fetchOf(version, topic, [16]byte{}, 0)))
			want := errNone
			if version < least {
				want = errUnsupportedCompression
			}
			if part.ErrorCode != want || (want != errNone) != (len(part.RecordBatches) == 0) {
				t.Errorf("Fetch v%d of %s: code %d with %d bytes, want %d", version, topic, part.ErrorCode, len(part.RecordBatches), want)
			}
		}
	}
}

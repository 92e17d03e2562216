package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/chronik-stream/chronik/codec/record"
	"github.com/chronik-stream/chronik/logstore"
)

var testID = logstore.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

// goldenRecords is one record of each type and its bytes on disk. A change of
// these bytes is a change of the format: it needs a new version of the record,
// and the old bytes must still decode.
var goldenRecords = []struct {
	record Record
	bytes  string
}{
	{ClusterRecord{ID: "abc", NodeID: 7}, "01 01 00 03616263 0e"},
	{EpochBumpRecord{Base: 3}, "01 02 00 06"},
	{FeatureRecord{Name: "metadata.version", Level: 30}, "01 03 00 10 6d657461646174612e76657273696f6e 3c"},
	{snapshotRecord{Version: 5, Part: 2, Last: true}, "01 04 00 0a 04 01"},
	{TopicRecord{Name: "t", ID: testID, Partitions: 3, Internal: true}, "01 0a 00 0174 0102030405060708090a0b0c0d0e0f10 06 01 00"},
	{TopicRecord{Name: "t", ID: testID, Partitions: 3, Epochs: []int32{0, 4}}, "01 0a 00 0174 0102030405060708090a0b0c0d0e0f10 06 00 02 00 08"},
	{TopicRemovedRecord{ID: testID}, "01 0b 00 0102030405060708090a0b0c0d0e0f10"},
	{PartitionsRecord{ID: testID, Count: 100}, "01 0c 00 0102030405060708090a0b0c0d0e0f10 c801"},
	{PartitionEpochRecord{ID: testID, Partition: 1, Epoch: 2}, "01 0d 00 0102030405060708090a0b0c0d0e0f10 02 04"},
	{ConfigRecord{Resource: Resource{ResourceTopic, "t"}, Key: "k", Value: "v"}, "01 14 00 02 0174 016b 00 0176"},
	{ConfigRecord{Resource: Resource{ResourceBroker, ""}, Key: "k", Delete: true}, "01 14 00 04 00 016b 01 00"},
	{ScramRecord{Key: ScramKey{"u", 2}, Credential: ScramCredential{Salt: []byte{1}, StoredKey: []byte{2, 3}, ServerKey: []byte{4}, Iterations: 4096}},
		"01 1e 00 0175 02 0101 020203 0104 8040"},
	{ScramRemovedRecord{Key: ScramKey{"u", 1}}, "01 1f 00 0175 01"},
	{ACLRecord{ACL{ResourceType: 2, ResourceName: "t", PatternType: 4, Principal: "User:u", Host: "*", Operation: 3, Permission: 3}},
		"01 20 00 02 0174 04 06557365723a75 012a 03 03"},
	{ACLRemovedRecord{ACL{ResourceType: 2, ResourceName: "t", PatternType: 4, Principal: "User:u", Host: "*", Operation: 3, Permission: 3}},
		"01 21 00 02 0174 04 06557365723a75 012a 03 03"},
	{QuotaRecord{Entity: QuotaEntity{User: QuotaPart{Set: true, Name: "u"}, ClientID: QuotaPart{Set: true, Default: true}}, Key: "k", Value: 1.5},
		"01 22 00 01000175 010100 000000 016b 00 3ff8000000000000"},
	{TokenRecord{Token{ID: "i", HMAC: []byte{9}, Owner: "o", Requester: "r", Renewers: []string{"a", "b"}, IssuedMs: 1, ExpiryMs: -1, MaxMs: 2,
		ScramSHA256: ScramCredential{Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}, Iterations: 1}}},
		"01 23 00 0169 0109 016f 0172 02 0161 0162 02 01 04 0101 0102 0103 02 00 00 00 00"},
	{TokenRemovedRecord{ID: "i"}, "01 24 00 0169"},
	{ProducerIDsRecord{Next: 1000}, "01 28 00 d00f"},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordGolden(t *testing.T) {
	seen := map[int16]bool{}
	for _, g := range goldenRecords {
		seen[g.record.recordType()] = true
		want := unhex(t, g.bytes)
		if got := appendRecord(nil, g.record); !bytes.Equal(got, want) {
			t.Errorf("%T encodes to %x, want %x", g.record, got, want)
		}
		got, err := decodeRecord(want)
		if err != nil || !reflect.DeepEqual(got, g.record) {
			t.Errorf("%x decodes to %+v, %v, want %+v", want, got, err, g.record)
		}
	}
	for kind, k := range recordKinds {
		if k.decode != nil && !seen[int16(kind)] {
			t.Errorf("record type %d has no golden bytes", kind)
		}
	}
}

// TestRecordDamage cuts each record at each byte and adds one.
func TestRecordDamage(t *testing.T) {
	for _, g := range goldenRecords {
		b := unhex(t, g.bytes)
		for n := range len(b) {
			if r, err := decodeRecord(b[:n]); !errors.Is(err, ErrBadRecord) {
				t.Errorf("%x cut to %d bytes: %+v, %v", b, n, r, err)
			}
		}
		if r, err := decodeRecord(append(bytes.Clone(b), 0)); !errors.Is(err, ErrBadRecord) {
			t.Errorf("%x and a byte: %+v, %v", b, r, err)
		}
	}
}

func TestNewerRecordIsRefused(t *testing.T) {
	for _, b := range []string{"02 01 00", "01 01 01 03616263 0e", "01 09 00", "01 63 00", "01 ffffffffff7f 00"} {
		r, err := decodeRecord(unhex(t, b))
		if !errors.Is(err, ErrNewerRecord) || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("%s: %+v, %v", b, r, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, g := range goldenRecords {
		f.Add(unhex(f, g.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := decodeRecord(appendRecord(nil, r))
		if err != nil {
			t.Fatalf("%+v does not decode: %v", r, err)
		}
		// NaN in a quota is not equal to itself.
		if q, ok := r.(QuotaRecord); ok && q.Value != q.Value {
			return
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v became %+v", r, again)
		}
		// Applying whatever decodes may refuse, never panic.
		_ = newDraft(&Image{}).apply([]Record{r})
	})
}

func FuzzBatch(f *testing.F) {
	var records []Record
	for _, g := range goldenRecords {
		records = append(records, g.record)
	}
	b, err := encodeBatch(records, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= record.HeaderSize {
			// Length and checksum are made right, so that what they cover is reached.
			binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
			record.Batch(b).SetCRC()
		}
		if _, size, _, err := decodeBatch(b); err == nil && (size < 1 || size > len(b)) {
			t.Fatalf("a batch of %d bytes in %d", size, len(b))
		}
	})
}

func TestBatchRoundTrip(t *testing.T) {
	var want []Record
	for _, g := range goldenRecords {
		want = append(want, g.record)
	}
	b, err := encodeBatch(want, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, size, next, err := decodeBatch(append(b, 1, 2, 3))
	if err != nil || size != len(b) || next != int64(len(want)) || !reflect.DeepEqual(got, want) {
		t.Errorf("%d bytes, next %d, %v", size, next, err)
	}
	for i := range b {
		// Offset and epoch are outside the checksum; the log stamps them.
		if i < 8 || i >= 12 && i < 16 {
			continue
		}
		b[i] ^= 1
		if _, _, _, err := decodeBatch(b); err == nil {
			t.Errorf("a flipped bit in byte %d was not noticed", i)
		}
		b[i] ^= 1
	}
	big := ConfigRecord{Resource: Resource{ResourceBroker, ""}, Key: "k", Value: strings.Repeat("x", maxChange+1)}
	if _, err := encodeBatch([]Record{big}, 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a batch over the limit: %v", err)
	}
}

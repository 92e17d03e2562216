package broker

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/codec/compress"
)

// TestBadFrames: what is no frame, or no request that is served, closes the
// connection and nothing else.
func TestBadFrames(t *testing.T) {
	b := run(t, func(o *Options) { o.Static = map[string]string{"socket.request.max.bytes": "1000000"} })
	length := func(n int32, rest ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(n)), rest...)
	}
	header := func(key, version int16) []byte {
		h := binary.BigEndian.AppendUint16(nil, uint16(key))
		h = binary.BigEndian.AppendUint16(h, uint16(version))
		return append(h, 0, 0, 0, 1, 0, 1, 'c')
	}
	whole := func(body []byte) []byte { return length(int32(len(body)), body...) }
	uvarint := func(n uint32) []byte { return kbin.AppendUvarint(nil, n) }
	for _, c := range []struct {
		name string
		send []byte
	}{
		{"too long", length(1_000_001)},
		{"far too long", length(1<<31 - 1)},
		{"negative", length(-1)},
		{"zero", length(0)},
		{"too short", whole([]byte{0, 3})},
		{"header cut", whole([]byte{0, 3, 0, 1, 0, 0, 0, 1, 0, 9, 'x'})},
		{"negative client id", whole([]byte{0, 3, 0, 1, 0, 0, 0, 1, 0x80, 0})},
		{"http", []byte("GET / HTTP/1.1\r\n\r\n")},
		{"tls", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}},
		{"unknown key", whole(header(999, 0))},
		{"negative key", whole(header(-1, 0))},
		{"key of a controller", whole(header(52, 0))},
		{"removed key", whole(header(4, 0))},
		{"unknown version", whole(header(keyMetadata, 99))},
		{"negative version", whole(header(keyMetadata, -1))},
		{"produce v2", whole(header(keyProduce, 2))},
		{"fetch v3", whole(header(keyFetch, 3))},
		{"empty body", whole(header(keyMetadata, 1))},
		{"metadata of 2^31 topics", whole(append(header(keyMetadata, 1), 0x7f, 0xff, 0xff, 0xff))},
		{"metadata of many topics", whole(append(append(header(keyMetadata, 12), 0), uvarint(1<<30)...))},
		{"tags that hang", whole(append(append(header(keyApiVersions, 3), 0, 2, 'a', 2, '1'), uvarint(1<<32-1)...))},
		{"header tags that hang", whole(append(header(keyApiVersions, 3), uvarint(1<<32-1)...))},
		{"produce of 2^31 topics", whole(append(header(keyProduce, 8), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff))},
		{"fetch of 2^31 topics", whole(append(header(keyFetch, 4), append(make([]byte, 17), 0x7f, 0xff, 0xff, 0xff)...))},
		{"offset commit of many partitions", whole(append(header(keyOffsetCommit, 2), append([]byte{0, 1, 'g', 0, 0, 0, 1, 0, 1, 'm', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 't'}, 0x7f, 0xff, 0xff, 0xff)...))},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := dial(t, b)
			if _, err := w.conn.Write(c.send); err != nil {
				t.Fatal(err)
			}
			w.closed()
		})
	}
	alive(t, b)
}

// TestTruncation cuts requests at every byte, with a length that agrees: each
// is answered or closes its connection, and the broker goes on.
func TestTruncation(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType = 7, "g", "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("xyz")}}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.ValidateOnly, create.TimeoutMillis = 7, true, 1000
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "x", NumPartitions: 1, ReplicationFactor: 1}}
	for _, req := range []kmsg.Request{
		produceOf(9, "t", id, -1, batchOf(t, compress.None, 2)), produceOf(13, "t", id, -1, batchOf(t, compress.None, 2)),
		fetchOf(12, "t", id, 0), fetchOf(17, "t", id, 0), join, create,
	} {
		whole := frame(req, 1)
		for n := 4; n < len(whole); n++ {
			cut := append([]byte(nil), whole[:n]...)
			binary.BigEndian.PutUint32(cut, uint32(n-4))
			w := dial(t, b)
			w.write(cut)
			if err := w.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			for {
				// An answer or none; at the end the connection closes.
				if _, err := w.read(); err != nil {
					break
				}
			}
			if err := w.conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	alive(t, b)
	if n := b.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestBytePieces sends requests one byte at a time.
func TestBytePieces(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	req := produceOf(9, "t", id, -1, batchOf(t, compress.None, 2))
	for i := range int32(3) {
		for _, one := range frame(req, i) {
			w.write([]byte{one})
		}
		resp := w.answer(req, i).(*kmsg.ProduceResponse)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != 2*int64(i) {
			t.Fatalf("code %d, offset %d", p.ErrorCode, p.BaseOffset)
		}
	}
}

// TestPipeline sends a thousand requests of mixed APIs at once, some that fail:
// the answers come in order, each with its own correlation id, and what was
// produced is there in the order it was sent.
func TestPipeline(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	w := dial(t, b)
	recompressed := "zstd"
	makeTopic(t, b, "z", 1, map[string]*string{"compression.type": &recompressed})
	var all []byte
	var reqs []kmsg.Request
	produced := map[string]int64{}
	for i := range int32(1000) {
		var req kmsg.Request
		switch i % 10 {
		case 0, 1, 2:
			req = produceOf(9, "t", id, -1, batchOf(t, compress.None, 1))
		case 3:
			req = produceOf(9, "z", id, -1, batchOf(t, compress.Gzip, 1))
		case 4:
			bad := batchOf(t, compress.None, 1)
			bad[len(bad)-1] ^= 1
			req = produceOf(9, "t", id, -1, bad)
		case 5:
			m := kmsg.NewPtrMetadataRequest()
			m.Version, m.Topics = 12, []kmsg.MetadataRequestTopic{}
			req = m
		case 6:
			f := fetchOf(12, "t", id, 0)
			f.MaxBytes = 1
			req = f
		case 7:
			c := kmsg.NewPtrDescribeConfigsRequest() // a worker's
			c.Version = 4
			c.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "t", ConfigNames: []string{"retention.ms"}}}
			req = c
		case 8:
			h := kmsg.NewPtrHeartbeatRequest() // a coordinator's
			h.Version, h.Group, h.MemberID = 4, "g", "nobody"
			req = h
		case 9:
			l := kmsg.NewPtrListOffsetsRequest()
			l.Version, l.ReplicaID = 7, -1
			l.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "absent", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}}}}
			req = l
		}
		reqs = append(reqs, req)
		all = append(all, frame(req, i)...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := w.conn.Write(all)
		sent <- err
	}()
	for i, req := range reqs {
		resp := w.answer(req, int32(i))
		switch r := resp.(type) {
		case *kmsg.ProduceResponse:
			top := r.Topics[0]
			p := top.Partitions[0]
			if i%10 == 4 {
				if p.ErrorCode != errCorruptMessage {
					t.Fatalf("request %d: code %d for a bad CRC", i, p.ErrorCode)
				}
				continue
			}
			if p.ErrorCode != 0 || p.BaseOffset != produced[top.Topic] {
				t.Fatalf("request %d: code %d, offset %d, want %d", i, p.ErrorCode, p.BaseOffset, produced[top.Topic])
			}
			produced[top.Topic]++
		case *kmsg.DescribeConfigsResponse:
			if r.Resources[0].ErrorCode != 0 || len(r.Resources[0].Configs) != 1 {
				t.Fatalf("request %d: %+v", i, r.Resources[0])
			}
		case *kmsg.ListOffsetsResponse:
			if r.Topics[0].Partitions[0].ErrorCode != errUnknownTopicOrPartition {
				t.Fatalf("request %d: %+v", i, r.Topics[0])
			}
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if produced["t"] != 300 || produced["z"] != 100 {
		t.Errorf("produced %v", produced)
	}
}

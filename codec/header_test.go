package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestParseHeader reads what kmsg's client side writes, for every key and
// version, with and without a client id.
func TestParseHeader(t *testing.T) {
	for _, id := range []string{"-", "", "rdkafka", strings.Repeat("x", 300)} {
		var opts []kmsg.RequestFormatterOpt
		want := ""
		if id != "-" {
			opts, want = append(opts, kmsg.FormatterClientID(id)), id
		}
		formatter := kmsg.NewRequestFormatter(opts...)
		eachVersion(func(key, version int16) {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			frame := formatter.AppendRequest(nil, req, 77)[4:]
			if key == controlledShutdown && version == 0 {
				// kmsg writes header v1; Kafka's v0 has no client id.
				frame = append(frame[:8:8], req.AppendTo(nil)...)
			}
			h, body, err := ParseHeader(frame)
			if err != nil {
				t.Fatalf("key %d version %d: %v", key, version, err)
			}
			wantID := want
			if key == controlledShutdown && version == 0 {
				wantID = ""
			}
			if h.Key != key || h.Version != version || h.CorrelationID != 77 || string(h.ClientID) != wantID {
				t.Errorf("key %d version %d: header %+v", key, version, h)
			}
			if !bytes.Equal(body, req.AppendTo(nil)) {
				t.Errorf("key %d version %d: the body is %x", key, version, body)
			}
			for n := range len(frame) - len(body) {
				if _, _, err := ParseHeader(frame[:n]); !errors.Is(err, ErrMalformed) {
					t.Fatalf("key %d version %d cut at %d: error %v", key, version, n, err)
				}
			}
		})
	}
}

func TestParseHeaderOddities(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame string
		id    string
		body  string
		bad   bool
	}{
		{name: "tags are skipped", frame: "\x00\x12\x00\x03\x00\x00\x00\x01\x00\x01a\x02\x05\x01z\x07\x00body", id: "a", body: "body"},
		{name: "unknown key is header v1", frame: "\x7f\x00\x00\x03\x00\x00\x00\x01\x00\x01abody", id: "a", body: "body"},
		{name: "negative key is header v1", frame: "\xff\xff\x00\x03\x00\x00\x00\x01\x00\x01abody", id: "a", body: "body"},
		{name: "future ApiVersions is flexible", frame: "\x00\x12\x00\x63\x00\x00\x00\x01\xff\xff\x00body", body: "body"},
		{name: "null client id", frame: "\x00\x12\x00\x00\x00\x00\x00\x01\xff\xffbody", body: "body"},
		{name: "client id too long", frame: "\x00\x12\x00\x00\x00\x00\x00\x01\x00\x09body", bad: true},
		{name: "four billion tags", frame: "\x00\x12\x00\x03\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\x0f", bad: true},
		{name: "tag longer than the frame", frame: "\x00\x12\x00\x03\x00\x00\x00\x01\xff\xff\x01\x00\xff\xff\xff\xff\x0f", bad: true},
	} {
		h, body, err := ParseHeader([]byte(c.frame))
		if c.bad {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: error %v", c.name, err)
			}
			continue
		}
		if err != nil || string(h.ClientID) != c.id || string(body) != c.body {
			t.Errorf("%s: id %q body %q error %v", c.name, h.ClientID, body, err)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte("\x00\x12\x00\x03\x00\x00\x00\x01\x00\x01a\x02\x05\x01z\x07\x00body"))
	f.Add([]byte("\x00\x07\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(h.ClientID)+len(body) > len(frame) {
			t.Fatalf("%d bytes out of %d", len(h.ClientID)+len(body), len(frame))
		}
	})
}

package codec

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestGolden holds one request with its header and one response of every
// version of every API against the digests in testdata/golden.txt: neither a
// new kmsg nor a change of ours may move a byte unseen. Requests go through
// DecodeRequest and ParseHeader, and come out as they went in.
func TestGolden(t *testing.T) {
	var lines []string
	eachVersion(func(key, version int16) {
		r := newRandom(uint64(key)<<16 | uint64(version))
		req := r.request(key, version)
		resp := req.ResponseKind()
		reflect.ValueOf(resp).MethodByName("Default").Call(nil)
		r.fill(reflect.ValueOf(resp).Elem(), 0)
		resp.SetVersion(version)

		body, answer := req.AppendTo(nil), resp.AppendTo(nil)
		whole := kmsg.NewRequestFormatter(kmsg.FormatterClientID("golden")).AppendRequest(nil, req, 77)
		lines = append(lines, fmt.Sprintf("%d %d request %s response %s", key, version, digest(whole), digest(answer)))

		h, rest, err := ParseHeader(whole[4:])
		// kmsg does not know of ControlledShutdown v0's own header.
		if other := key == controlledShutdown && version == 0; !other && (err != nil || h.Key != key || h.Version != version ||
			h.CorrelationID != 77 || string(h.ClientID) != "golden" || !bytes.Equal(rest, body)) {
			t.Errorf("key %d version %d: header %+v, %v", key, version, h, err)
		}
		again, err := DecodeRequest(key, version, body)
		if err != nil || !bytes.Equal(again.AppendTo(nil), body) {
			t.Errorf("key %d version %d: the request comes out otherwise: %v", key, version, err)
		}
		back := req.ResponseKind()
		back.SetVersion(version)
		if err := back.ReadFrom(answer); err != nil || !bytes.Equal(back.AppendTo(nil), answer) {
			t.Errorf("key %d version %d: the response comes out otherwise: %v", key, version, err)
		}
	})
	const file = "testdata/golden.txt"
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(was) || was[i] != line {
			t.Fatalf("line %d of %s: the bytes of %q moved", i+1, file, line)
		}
	}
	if string(want) != got {
		t.Errorf("%s has versions that the codec does not", file)
	}
}

// digest is a length and the first bytes of a SHA-256.
func digest(b []byte) string { return fmt.Sprintf("%d:%x", len(b), sha256.Sum256(b))[:20] }

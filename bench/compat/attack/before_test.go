package attack

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestBeforeLogin sends every request of every version that kmsg knows, and keys
// that nobody knows, to whoever has not logged in: it must close the connection
// without an answer. Only ApiVersions and the login itself are served.
func TestBeforeLogin(t *testing.T) {
	const keyHandshake, keyApiVersions, keyAuthenticate = 17, 18, 36
	for _, listener := range []string{"SASL", "TLS"} {
		t.Run(listener, func(t *testing.T) {
			tried := 0
			for key := range int16(kmsg.MaxKey + 1) {
				req := kmsg.RequestForKey(key)
				if req == nil || key == keyHandshake || key == keyApiVersions || key == keyAuthenticate {
					continue
				}
				last := req.MaxVersion()
				if listener == "TLS" {
					last = 0 // the versions are told apart above the transport
				}
				for v := range last + 1 {
					req.SetVersion(v)
					w := dial(t, listener)
					w.send(req)
					w.gone(fmt.Sprintf("%s v%d before login", kmsg.NameForKey(key), v))
					_ = w.conn.Close() // the broker has
					tried++
				}
			}
			if listener == "SASL" && tried < 300 {
				t.Errorf("only %d requests tried", tried)
			}
			for _, key := range []int16{-1, 93, 999, -32768, 32767} {
				w := dial(t, listener)
				w.frame(append(binary.BigEndian.AppendUint16(nil, uint16(key)), 0, 0, 0, 0, 0, 1, 255, 255))
				w.gone(fmt.Sprintf("key %d", key))
			}
		})
	}
}

// TestMidLogin: another request between handshake and token, a token without a
// handshake, a second handshake.
func TestMidLogin(t *testing.T) {
	w := dial(t, "SASL").begin("PLAIN")
	w.outside("Metadata between handshake and token")
	w = dial(t, "SASL")
	if resp, err := w.token([]byte("\x00admin\x00" + adminPassword)); err == nil && resp.ErrorCode == 0 {
		t.Error("a token without a handshake was taken")
	}
	w.outside("a token without a handshake")
	w = dial(t, "SASL").begin("PLAIN")
	if resp, err := w.handshake(1, "SCRAM-SHA-512"); err == nil && resp.ErrorCode == 0 {
		t.Error("a second handshake was taken")
	}
	w.outside("a second handshake")
}

// TestPipelined: a request right behind a login that fails, in one write, must
// not be served, and one behind a login that holds must wait for it.
func TestPipelined(t *testing.T) {
	for _, good := range []bool{false, true} {
		w := dial(t, "SASL").begin("PLAIN")
		password := secret("a-wrong-password")
		if good {
			password = adminPassword
		}
		auth := kmsg.NewPtrSASLAuthenticateRequest()
		auth.SASLAuthBytes = []byte("\x00admin\x00" + password)
		f := kmsg.NewRequestFormatter()
		both := append(f.AppendRequest(nil, auth, 1), f.AppendRequest(nil, kmsg.NewPtrMetadataRequest(), 2)...)
		if _, err := w.conn.Write(both); err != nil {
			t.Fatal(err)
		}
		first, err := w.read()
		if err != nil || len(first) < 6 {
			t.Fatalf("the login's answer: %x, %v", first, err)
		}
		if !good {
			w.gone("a request behind a failed login")
		} else if _, err := w.read(); err != nil {
			t.Errorf("a request behind a login: %v", err)
		}
	}
}

// TestOversize: a frame's length beyond what a stranger may send, before its
// body has come; the broker must not wait for it, nor take memory for it.
func TestOversize(t *testing.T) {
	for _, listener := range []string{"SASL", "TLS", "SCRAMONLY"} {
		for _, n := range []uint32{64<<10 + 1, 100 << 20, 1 << 31, 1<<32 - 1, 0} {
			w := dial(t, listener)
			if _, err := w.conn.Write(binary.BigEndian.AppendUint32(nil, n)); err != nil {
				t.Fatal(err)
			}
			w.gone(fmt.Sprintf("%s: a frame of %d bytes", listener, n))
		}
	}
	for _, raw := range []uint32{64<<10 + 1, 1 << 31, 1<<32 - 1} {
		w := dial(t, "SASL")
		if resp, err := w.handshake(0, "PLAIN"); err != nil || resp.ErrorCode != 0 {
			t.Fatalf("handshake v0: %+v, %v", resp, err)
		}
		if _, err := w.conn.Write(binary.BigEndian.AppendUint32(nil, raw)); err != nil {
			t.Fatal(err)
		}
		w.gone(fmt.Sprintf("a bare token of %d bytes", raw))
	}
}

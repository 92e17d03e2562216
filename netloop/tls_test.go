package netloop

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

func dialOver(nc net.Conn, secure bool) net.Conn {
	if secure {
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	return nc
}

// TestTLSPeerCertificate shows the client's certificate to the handler, on a
// server that has a plaintext listener too.
func TestTLSPeerCertificate(t *testing.T) {
	cert, pool := certificate(t)
	type seen struct {
		listener string
		state    *tls.ConnectionState
		local    string
	}
	states := make(chan seen, 2)
	h := &handlerFuncs{opened: func(c Conn) error {
		states <- seen{c.Listener(), c.TLS(), c.LocalAddr().String()}
		return nil
	}}
	s, _ := listen(t, h, func(o *Options) {
		o.Listeners = append(o.Listeners, Listener{Name: "SSL", Addr: "127.0.0.1:0", TLS: &tls.Config{
			Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		}})
	})
	addr := s.Addr("SSL").String()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		nc := tls.Client(dial(t, addr), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1",
			Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version})
		body := pattern(200_000)
		go nc.Write(frameOf(body))
		if got := readFrame(t, nc); string(got) != string(body) {
			t.Fatal("the echo came back changed")
		}
		got := <-states
		if got.listener != "SSL" || got.state == nil || got.local != addr || got.state.Version != version ||
			len(got.state.PeerCertificates) != 1 || got.state.PeerCertificates[0].Subject.CommonName != "netloop" {
			t.Errorf("the handler saw %+v", got)
		}
	}
	// No certificate: the handshake fails and the handler hears nothing.
	nc := tls.Client(dial(t, addr), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	nc.Write(frameOf([]byte("x")))
	if _, err := tryReadFrame(nc); err == nil {
		t.Error("served without a certificate")
	}
	eventually(t, "the failure is counted", func() bool { return s.Stats().Closed[ClosedHandshake] == 1 && s.Stats().Open <= 2 })
	plain := dial(t, s.Addr("PLAINTEXT").String())
	sendFrame(t, plain, []byte("x"))
	readFrame(t, plain)
	if got := <-states; got.state != nil || got.listener != "PLAINTEXT" {
		t.Errorf("the handler saw %+v", got)
	}
}

// TestHandshakesAreBounded lets silent peers take all handshakes: others wait
// their turn and are served when the silent ones' time is over.
func TestHandshakesAreBounded(t *testing.T) {
	s, addr := listen(t, &handlerFuncs{}, func(o *Options) {
		o.MaxHandshakes, o.HandshakeTimeout = 2, 300*time.Millisecond
		secureOption(t, true)(o)
	})
	start := time.Now()
	var silent []net.Conn
	for range 2 {
		silent = append(silent, dial(t, addr))
	}
	eventually(t, "both handshakes are taken", func() bool { return s.Stats().Handshakes == 2 })
	waiting := dialMaybeTLS(t, addr, true)
	sendFrame(t, waiting, []byte("x"))
	readFrame(t, waiting)
	if took := time.Since(start); took < patience {
		t.Errorf("a third handshake ran after %v beside two", took)
	}
	for _, nc := range silent {
		if _, err := io.ReadAll(nc); err != nil {
			t.Errorf("a silent peer was not closed in order: %v", err)
		}
	}
	// More than may wait are closed at once.
	silent = nil
	for range 2 + 2*waitFactor + 5 {
		silent = append(silent, dial(t, addr))
	}
	eventually(t, "those beyond the queue are refused", func() bool { return s.Stats().Refused >= 5 })
	for _, nc := range silent {
		nc.Close()
	}
	eventually(t, "all silent ones are gone", func() bool { return s.Stats().Open == 1 && s.Stats().Handshakes == 0 })
}

// TestSilentHandshakesGiveWay: a peer that means it gets its turn however many
// hold handshakes open, long before their time is over.
func TestSilentHandshakesGiveWay(t *testing.T) {
	failures := make(chan error, 100)
	s, addr := listen(t, &handlerFuncs{}, func(o *Options) {
		o.MaxHandshakes, o.HandshakeTimeout = 4, time.Hour
		o.HandshakeFailed = func(_ string, _ netip.AddrPort, why error) { failures <- why }
		secureOption(t, true)(o)
	})
	for range 12 {
		nc := dial(t, addr)
		if _, err := nc.Write([]byte{22, 3, 1, 2, 0, 1}); err != nil { // the head of a hello
			t.Fatal(err)
		}
	}
	eventually(t, "all are in", func() bool { return s.Stats().Handshakes == 12 })
	late := dialMaybeTLS(t, addr, true)
	sendFrame(t, late, []byte("x"))
	readFrame(t, late)
	for range 9 { // that one is the thirteenth, and four may run
		if why := <-failures; !errors.Is(why, ErrHandshakeShed) {
			t.Errorf("a silent peer's handshake failed by %v", why)
		}
	}
	// Nobody waits now: who is left may take its time.
	if n := s.Stats().Handshakes; n > 3 {
		t.Errorf("%d handshakes are left, want three at most", n)
	}
}

func TestGetConfigForClientPanics(t *testing.T) {
	s, addr := listen(t, &handlerFuncs{}, func(o *Options) {
		o.Listeners[0].TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("reload") }}
	})
	nc := dialMaybeTLS(t, addr, true)
	if err := nc.(*tls.Conn).Handshake(); err == nil {
		t.Error("the handshake succeeded")
	}
	eventually(t, "the panic is counted", func() bool { return s.Stats().Panics == 1 && s.Stats().Open == 0 })
}

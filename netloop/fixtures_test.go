package netloop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// eventually waits for a condition that something else is about to make true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// onLoop runs f on a loop and waits for it.
func onLoop(l *Loop, f func()) {
	done := make(chan struct{})
	l.Post(taskFunc(func(*Loop) {
		defer close(done)
		f()
	}))
	<-done
}

// countingOwner counts how often it is released.
type countingOwner struct{ n atomic.Int64 }

func newCountingOwner() *countingOwner   { return &countingOwner{} }
func (o *countingOwner) Release()        { o.n.Add(1) }
func (o *countingOwner) released() int64 { return o.n.Load() }

// diskFile is a File with a descriptor.
type diskFile struct {
	*os.File
	faults *atomic.Int64
}

func (f diskFile) ReadFailed(error) { f.faults.Add(1) }

func (f diskFile) Fd() (int, bool) { return int(f.File.Fd()), true }

// memFile is a File without one.
type memFile []byte

func (f memFile) Fd() (int, bool)  { return 0, false }
func (f memFile) ReadFailed(error) { panic("a file without a descriptor has failed by it") }
func (f memFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f)) {
		return 0, os.ErrInvalid
	}
	return copy(p, f[off:]), nil
}

// pattern is n bytes of which every position can be told from its neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// tempFile is a file on disk with the content.
func tempFile(t testing.TB, content []byte) diskFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "range")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return diskFile{f, new(atomic.Int64)}
}

// certificate is a self-signed one for 127.0.0.1.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "netloop"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// secureOption makes the first listener a TLS one.
func secureOption(t testing.TB, secure bool) func(*Options) {
	return func(o *Options) {
		if secure {
			cert, _ := certificate(t)
			o.Listeners[0].TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		}
	}
}

func dialMaybeTLS(t testing.TB, addr string, secure bool) net.Conn {
	t.Helper()
	nc := dial(t, addr)
	if !secure {
		return nc
	}
	return tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
}

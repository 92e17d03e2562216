package netloop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// handshakes bounds the TLS handshakes that run at one time: each costs a
// goroutine, some 30 KiB and a millisecond of CPU, and whoever opens
// connections without a certificate pays nothing for it. Sockets beyond the
// bound wait in order, without a goroutine; their time begins with their turn.
//
// While some wait, handshakes that have run for longer than patience give way,
// the oldest first: who means to finish one needs a round trip, who holds it open
// needs it long. So silent peers cannot keep others out, at any rate up to
// MaxHandshakes in each patience.
type handshakes struct {
	srv     *Server
	pending atomic.Int64
	failed  atomic.Int64
	timer   Timer // acceptor only; runs while sockets wait

	mu      sync.Mutex
	active  int        // mu
	queue   []*arrival // mu; bounded by waitFactor × MaxHandshakes
	live    []*shaking // mu; the oldest first; bounded by MaxHandshakes
	stopped bool       // mu
}

// shaking is one handshake that runs.
type shaking struct {
	nc    net.Conn
	began time.Time
	shed  bool // mu of handshakes: it gave way
}

const (
	// waitFactor is how many sockets may wait for each handshake that may run.
	waitFactor = 8
	// patience is how long a handshake may take while others wait.
	patience = 250 * time.Millisecond
)

// ErrHandshakeShed is why a handshake failed that gave way to others.
var ErrHandshakeShed = errors.New("netloop: the TLS handshake took long while others waited")

// arrived starts a handshake or queues it. Acceptor only.
func (h *handshakes) arrived(in *arrival) {
	h.mu.Lock()
	switch {
	case h.stopped || h.active >= h.srv.opt.MaxHandshakes && len(h.queue) >= waitFactor*h.srv.opt.MaxHandshakes:
		h.mu.Unlock()
		h.srv.refused.Add(1)
		h.srv.dropArrival(in)
		return
	case h.active >= h.srv.opt.MaxHandshakes:
		h.queue = append(h.queue, in)
		h.pending.Add(1)
		h.mu.Unlock()
		if !h.timer.set {
			h.shed(time.Now())
		}
		return
	}
	h.active++
	h.pending.Add(1)
	h.mu.Unlock()
	h.start(in)
}

// shed ends handshakes that have run for longer than patience, as many as wait,
// and comes again while some do. Acceptor only.
func (h *handshakes) shed(now time.Time) {
	h.mu.Lock()
	waiting, next := len(h.queue), now.Add(patience)
	for _, k := range h.live {
		if k.shed {
			waiting-- // it is about to end
			continue
		}
		if now.Sub(k.began) < patience {
			next = k.began.Add(patience)
			break
		}
		if waiting <= 0 {
			break
		}
		k.shed = true
		k.nc.Close()
		waiting--
	}
	again := waiting > 0 && !h.stopped
	h.mu.Unlock()
	if again {
		h.srv.acceptor.loop.Schedule(&h.timer, next)
	}
}

func (h *handshakes) start(in *arrival) {
	h.srv.start("tls-reader", func() { h.run(in) })
}

// run is the goroutine of one connection: the handshake, then its reader.
func (h *handshakes) run(in *arrival) {
	k, err := h.shake(in)
	h.next()
	if err != nil {
		h.failed.Add(1)
		if f := h.srv.opt.HandshakeFailed; f != nil && !errors.Is(err, errShutdown) {
			f(in.ln.name, in.remote, err)
		}
		h.srv.opt.Logger.Debug("netloop: a TLS handshake failed", "listener", in.ln.name, "remote", in.remote, "error", err)
		h.srv.dropArrival(in)
		return
	}
	in.link = k
	if !in.loop.post(in) {
		h.srv.dropArrival(in)
		return
	}
	k.read()
}

// shake does the handshake within its time.
func (h *handshakes) shake(in *arrival) (k *tlsLink, err error) {
	defer func() {
		if p := recover(); p != nil { // a certificate callback of the configuration's
			in.loop.stats.panics.Add(1)
			h.srv.opt.Logger.Error("netloop: a panic in a TLS handshake was recovered", "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	file := os.NewFile(uintptr(in.fd), "tls")
	in.fd = -1
	nc, err := net.FileConn(file) // a duplicate that the runtime polls
	err = errors.Join(err, file.Close())
	if err != nil {
		return nil, fmt.Errorf("netloop: a TLS socket: %w", err)
	}
	in.nc = nc
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("netloop: a TLS listener's socket is a %T, and not one of TCP", nc)
	}
	pipe, err := newPipe(tcp)
	if err != nil {
		return nil, fmt.Errorf("netloop: a TLS socket: %w", err)
	}
	one := &shaking{nc: nc, began: time.Now()}
	if !h.remember(one) {
		return nil, errShutdown
	}
	defer func() {
		if h.forget(one) {
			k, err = nil, ErrHandshakeShed
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), h.srv.opt.HandshakeTimeout)
	defer cancel()
	tc := tls.Server(pipe, in.ln.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	k = newLink(h.srv, in.loop, pipe, tcp, tc)
	state := tc.ConnectionState()
	k.state = &state
	return k, nil
}

func (h *handshakes) remember(k *shaking) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return false
	}
	h.live = append(h.live, k)
	return true
}

// forget reports whether the handshake has given way to others.
func (h *handshakes) forget(k *shaking) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := slices.Index(h.live, k); at >= 0 {
		h.live = slices.Delete(h.live, at, at+1)
	}
	return k.shed
}

// next ends one handshake and starts the one that waits longest.
func (h *handshakes) next() {
	h.pending.Add(-1)
	h.mu.Lock()
	var in *arrival
	if len(h.queue) > 0 {
		in = h.queue[0]
		h.queue[0] = nil
		h.queue = h.queue[1:]
	} else {
		h.active--
	}
	h.mu.Unlock()
	if in != nil {
		h.start(in)
	}
}

// stop ends all handshakes.
func (h *handshakes) stop() {
	h.mu.Lock()
	h.stopped = true
	queue := h.queue
	h.queue = nil
	h.pending.Add(-int64(len(queue)))
	for _, k := range h.live {
		k.nc.Close()
	}
	h.mu.Unlock()
	for _, in := range queue {
		h.srv.dropArrival(in)
	}
}

// dropArrival closes a socket that never became a connection. Any goroutine.
func (s *Server) dropArrival(in *arrival) {
	in.loop.assigned.Add(-1)
	if in.nc != nil {
		in.nc.Close()
	} else if in.fd >= 0 {
		s.closeSocket(in.fd)
	}
	s.forgetConn(in.ln, in.remote.Addr())
}

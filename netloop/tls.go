package netloop

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/codec"
)

// tlsLink is the transport of a TLS connection: crypto/tls wants a blocking
// net.Conn, so one goroutine reads and decrypts, another encrypts and writes,
// and the connection itself, with its slots, limits and timers, lives on a loop
// as any other does. The handler cannot tell them apart. A small answer is
// encrypted and written by the loop itself while the writer has nothing to do
// (see tlsPipe), which spares two of the wakes that a request costs.
//
// The loop publishes what the reader may do (open, allowed, frameLimit) and the
// reader takes memory from the same budget; frames and finished answers come
// back to the loop through one task, which is posted when the first of them
// waits. Ranges are read into a pooled buffer and encrypted from there: the
// kernel cannot send a file through crypto/tls.
//
// Lock order: budget.mu or tlsPipe.mu, then tlsLink.mu. Nothing is called with mu
// held but Signal and Post.
type tlsLink struct {
	srv   *Server
	loop  *Loop
	nc    *net.TCPConn
	pipe  *tlsPipe // nc, as tc writes to it
	tc    *tls.Conn
	state *tls.ConnectionState
	c     *conn // set by adopt, before the loop first allows to read

	// Loop only.
	ended  bool   // both goroutines have ended
	base   uint64 // c.head at adopt
	handed uint64 // the next slot to give to the writer
	gone   int    // goroutines that have ended
	seen   int64  // moved at the last sign of life

	moved atomic.Int64 // bytes read and written; a sign of life
	// body is the frame that is being read, and got how much of it is there.
	body, got atomic.Int64

	mu     sync.Mutex
	reader sync.Cond
	writer sync.Cond
	// What the loop says; all below under mu.
	closed     bool
	open       bool   // reading is allowed
	allowed    uint64 // frames that may be begun, in all
	frameLimit int
	raw        bool
	out        []*Response // to be written; nil for a slot without an answer
	finishing  bool        // close in order after out
	// What the goroutines say.
	writing   bool // the writer is at a batch, or at the pipe's rest
	rest      bool // the pipe has something for the writer
	begun     uint64
	inBytes   int64
	granted   bool
	frames    []*codec.Buffer
	done      int // slots written
	reason    CloseReason
	err       error
	failed    bool // reason and err are set
	finished  bool // all is written and close_notify is sent
	exits     int  // goroutines that have ended since the loop looked
	posted    bool // the task waits in the mailbox
	spareIn   []*codec.Buffer
	spareOut  []*Response
	claimWait claim
}

// linkPins is how many goroutines hold the connection.
const linkPins = 2

// tlsScratch is what the writer gathers before it encrypts: four full records.
const tlsScratch = 64 << 10

func newLink(s *Server, l *Loop, pipe *tlsPipe, nc *net.TCPConn, tc *tls.Conn) *tlsLink {
	k := &tlsLink{srv: s, loop: l, nc: nc, pipe: pipe, tc: tc}
	k.reader.L, k.writer.L = &k.mu, &k.mu
	pipe.open(func() {
		k.mu.Lock()
		k.rest = true
		k.mu.Unlock()
		k.writer.Signal()
	})
	k.claimWait.granted = func() {
		k.mu.Lock()
		k.granted = true
		k.mu.Unlock()
		k.reader.Signal()
	}
	return k
}

// adopted is called on the loop once the connection exists; the writer starts.
func (k *tlsLink) adopted(c *conn) {
	k.c, k.base, k.handed = c, c.head, c.head
	k.srv.start("tls-writer", k.write)
}

// post tells the loop to look; mu is held.
func (k *tlsLink) post() {
	if !k.posted {
		k.posted = true
		k.loop.Post(k)
	}
}

// settle is the connection's settle: answers to the writer, leave to the reader.
func (k *tlsLink) settle() {
	c := k.c
	if c.closed || !k.sendSmall() {
		return
	}
	k.mu.Lock()
	for k.handed != c.tail && !k.finishing {
		sl := c.slot(k.handed)
		if sl.state == slotWaiting {
			break
		}
		k.handed++
		k.out = append(k.out, sl.resp)
		switch {
		case sl.state == slotFailed:
			k.finishing, c.closing = true, true
			c.reason, c.why = ClosedByHandler, sl.why
		case sl.resp != nil && sl.resp.CloseAfter != nil:
			k.finishing, c.closing = true, true
			c.reason, c.why = ClosedByHandler, sl.resp.CloseAfter
		}
	}
	k.open = !c.draining && !c.closing && !c.muted && c.outBytes <= c.srv.opt.OutboundBytes
	k.allowed = c.head - k.base + uint64(c.maxInFlight)
	k.frameLimit, k.raw = c.frameLimit, c.raw
	if c.draining && c.head == c.tail && len(k.frames) == 0 && !k.finishing {
		k.finishing, c.closing = true, true
		c.reason, c.why = ClosedShutdown, errShutdown
	}
	write := len(k.out) > 0 || k.finishing
	k.mu.Unlock()
	k.reader.Signal()
	if write {
		k.writer.Signal()
	}
}

// tlsSmall is how many bytes of answers a loop encrypts itself at one time: one
// full record, some 5 µs.
const tlsSmall = 16 << 10

// sendSmall encrypts and writes the answers that are ready, while the writer has
// nothing to do, none of them has a range and they are small. It reports false
// when that failed and the connection is closed. Loop only.
func (k *tlsLink) sendSmall() bool {
	c := k.c
	if k.handed == c.tail || k.handed != c.head || !c.ready(k.handed) {
		return true
	}
	k.mu.Lock()
	free := len(k.out) == 0 && !k.writing && !k.rest && !k.finishing
	k.mu.Unlock()
	if !free || !k.pipe.idle() {
		return true
	}
	buf := codec.NewBuffer(tlsSmall)
	defer buf.Release()
	b := buf.B[:0:tlsSmall]
	for k.handed != c.tail {
		sl := c.slot(k.handed)
		if sl.state == slotWaiting || sl.state == slotFailed {
			break
		}
		if r := sl.resp; r != nil {
			if r.CloseAfter != nil || r.ranges() || len(b)+len(r.Buf.B) > cap(b) {
				break
			}
			b = append(b, r.Buf.B...)
		}
		k.handed++
	}
	if len(b) > 0 {
		n, err := k.tc.Write(b)
		k.loop.stats.bytesOut.Add(int64(n))
		k.moved.Add(int64(n))
		if err != nil {
			c.close(ClosedSendFailed, fmt.Errorf("netloop: sending under TLS: %w", err))
			return false
		}
	}
	for c.head != k.handed {
		c.pop(c.slot(c.head))
	}
	return true
}

// finish closes in order after what is handed over.
func (k *tlsLink) finish() {
	k.mu.Lock()
	k.finishing = true
	k.mu.Unlock()
	k.writer.Signal()
}

// close ends both goroutines. Loop only.
func (k *tlsLink) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.reader.Signal()
	k.writer.Signal()
	k.pipe.Close()
	delete(k.loop.links, k)
}

// uncharge gives back a request's share of the connection's memory. Loop only.
func (k *tlsLink) uncharge(cost int64) {
	k.mu.Lock()
	k.inBytes -= cost
	k.mu.Unlock()
	k.reader.Signal()
}

// alive reports whether enough bytes moved since it last said so. Loop only.
func (k *tlsLink) alive() bool {
	moved := k.moved.Load()
	if moved-k.seen < progressStep {
		return false
	}
	k.seen = moved
	return true
}

// RunOnLoop takes what the goroutines have done.
func (k *tlsLink) RunOnLoop(l *Loop) {
	c := k.c
	k.mu.Lock()
	k.posted = false
	frames, done, exits := k.frames, k.done, k.exits
	k.frames, k.spareIn = k.spareIn, nil
	k.done, k.exits = 0, 0
	failed, reason, err, finished := k.failed, k.reason, k.err, k.finished
	k.mu.Unlock()

	for i, b := range frames {
		frames[i] = nil
		k.deliver(b)
	}
	if !c.closed {
		for range done {
			c.pop(c.slot(c.head))
			c.active = l.now
		}
	}
	if finished && !c.closed && !c.lingering {
		c.lingering = true
		l.Schedule(&c.closeTimer, l.now.Add(lingerTime))
	}
	if failed {
		// A peer that sees our end of the stream may end its own before the writer
		// has said that all is sent.
		if c.lingering || c.closing && reason == ClosedByPeer && err == nil {
			reason, err = c.reason, c.why
		}
		c.close(reason, err)
	}
	l.touch(c)
	k.mu.Lock()
	k.spareIn = frames[:0]
	k.mu.Unlock()
	if k.gone += exits; exits > 0 {
		k.ended = k.gone == linkPins
		for range exits {
			c.unpin()
		}
	}
}

// deliver hands a frame to the handler, unless the connection takes none any more.
func (k *tlsLink) deliver(b *codec.Buffer) {
	c, n := k.c, int64(len(b.B))
	if !c.closed && n > int64(c.frameLimit) {
		c.close(ClosedBadFrame, badFrame(c.remote, int(n), c.frameLimit))
	}
	if c.closed || c.closing || c.draining {
		b.Release()
		c.uncharge(n)
		return
	}
	c.active = c.loop.now
	c.hand(b, n)
}

// fail notes why the connection is to end. Any goroutine.
func (k *tlsLink) fail(reason CloseReason, err error) {
	k.mu.Lock()
	if !k.failed {
		k.failed, k.reason, k.err = true, reason, err
	}
	k.post()
	k.mu.Unlock()
}

// exit says that one of the two goroutines is gone; deferred, so that a panic
// ends the connection too.
func (k *tlsLink) exit() {
	k.mu.Lock()
	k.exits++
	if !k.failed && !k.finished {
		k.failed, k.reason, k.err = true, ClosedPanic, errPanic
	}
	k.post()
	k.mu.Unlock()
}

// read is the reader's goroutine once the connection is open.
func (k *tlsLink) read() {
	defer k.exit()
	for {
		reason, err := k.readFrame()
		if reason >= 0 {
			k.fail(reason, err)
			return
		}
	}
}

// readFrame reads one frame; a reason that is not negative ends the connection.
func (k *tlsLink) readFrame() (CloseReason, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(k.tc, prefix[:]); err != nil {
		return k.endOfStream(err)
	}
	n := int(int32(binary.BigEndian.Uint32(prefix[:])))
	if reason, err := k.begin(n); reason >= 0 {
		return reason, err
	}
	b := codec.NewBuffer(n)
	if err := k.readBody(b.B); err != nil {
		b.Release()
		k.srv.budget.give(int64(n))
		return ClosedByPeer, fmt.Errorf("netloop: reading a frame under TLS: %w", err)
	}
	k.loop.stats.bytesIn.Add(int64(n) + 4)
	k.mu.Lock()
	k.frames = append(k.frames, b)
	k.post()
	k.mu.Unlock()
	return -1, nil
}

// readBody reads a frame's body and tells of its progress on the way.
func (k *tlsLink) readBody(b []byte) error {
	k.got.Store(0)
	k.body.Store(int64(len(b)))
	defer k.body.Store(0)
	for got := 0; got < len(b); {
		n, err := k.tc.Read(b[got:])
		got += n
		k.got.Store(int64(got))
		k.moved.Add(int64(n))
		if err != nil && got < len(b) {
			return err
		}
	}
	return nil
}

func (k *tlsLink) endOfStream(err error) (CloseReason, error) {
	if err == nil || errors.Is(err, io.EOF) {
		return ClosedByPeer, nil
	}
	return ClosedByPeer, fmt.Errorf("netloop: reading under TLS: %w", err)
}

// begin waits until a frame of n bytes may be read and takes its memory.
func (k *tlsLink) begin(n int) (CloseReason, error) {
	k.mu.Lock()
	for !k.closed && !k.finishing && !(k.open && k.begun < k.allowed) {
		k.reader.Wait()
	}
	if k.finishing && !k.closed {
		k.mu.Unlock()
		// What still comes is not wanted, but the end of it is: see lingerTime.
		_, err := io.Copy(io.Discard, k.tc)
		return k.endOfStream(err)
	}
	limit := k.frameLimit
	if n < 0 || n > limit || n == 0 && !k.raw {
		k.mu.Unlock()
		return ClosedBadFrame, badFrame(k.c.remote, n, limit)
	}
	for !k.closed && k.inBytes > 0 && k.inBytes+int64(n) > k.srv.opt.ConnInFlightBytes {
		k.reader.Wait()
	}
	if k.closed {
		k.mu.Unlock()
		return ClosedByPeer, net.ErrClosed
	}
	k.begun++
	k.inBytes += int64(n)
	k.granted = false
	k.mu.Unlock()
	if k.srv.budget.take(&k.claimWait, int64(n)) {
		return -1, nil
	}
	k.loop.stats.memoryWaits.Add(1)
	k.srv.startSweeps()
	k.mu.Lock()
	for !k.granted && !k.closed {
		k.reader.Wait()
	}
	closed := k.closed
	k.mu.Unlock()
	if !closed {
		return -1, nil
	}
	if !k.srv.budget.withdraw(&k.claimWait) {
		k.srv.budget.give(int64(n))
	}
	return ClosedByPeer, net.ErrClosed
}

// write is the writer's goroutine.
func (k *tlsLink) write() {
	defer k.exit()
	for {
		k.mu.Lock()
		for len(k.out) == 0 && !k.closed && !k.finishing && !k.rest {
			k.writer.Wait()
		}
		if k.closed {
			k.mu.Unlock()
			return
		}
		batch, finishing := k.out, k.finishing
		k.out, k.spareOut = k.spareOut, nil
		k.writing, k.rest = true, false
		k.mu.Unlock()
		if err := k.writeBatch(batch); err != nil {
			k.fail(ClosedSendFailed, fmt.Errorf("netloop: sending under TLS: %w", err))
			return
		}
		n := len(batch)
		clear(batch)
		k.mu.Lock()
		k.spareOut = batch[:0]
		k.done += n
		k.writing = false
		last := finishing && len(k.out) == 0
		k.post()
		k.mu.Unlock()
		if last {
			k.sayGoodbye()
			return
		}
	}
}

// writeBatch sends what the socket did not take of earlier answers, then these.
func (k *tlsLink) writeBatch(batch []*Response) error {
	err := k.pipe.hold()
	if err == nil && len(batch) > 0 {
		err = k.writeAll(batch)
	}
	k.pipe.letGo()
	return err
}

// sayGoodbye ends our direction in order.
func (k *tlsLink) sayGoodbye() {
	err := k.tc.CloseWrite()
	if err == nil {
		// CloseWrite leaves a deadline that is over, and perhaps its alert in the pipe.
		err = k.nc.SetWriteDeadline(time.Time{})
	}
	if err == nil {
		err = k.pipe.hold()
	}
	if err == nil {
		err = k.nc.CloseWrite()
	}
	if err != nil {
		k.fail(ClosedByHandler, err)
		return
	}
	k.mu.Lock()
	k.finished = true
	k.post()
	k.mu.Unlock()
}

// writeAll encrypts a batch of answers, gathered so that small ones share
// records and system calls.
func (k *tlsLink) writeAll(batch []*Response) error {
	buf := codec.NewBuffer(tlsScratch)
	defer buf.Release()
	w := gatherer{k: k, buf: buf.B[:0:tlsScratch]}
	for _, r := range batch {
		if r == nil {
			continue
		}
		for i := range r.parts {
			p := &r.parts[i]
			if err := w.bytes(r.Buf.B[p.from:p.to]); err != nil {
				return err
			}
			if err := w.rng(&p.rng); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// gatherer fills the writer's scratch and encrypts it when it is full.
type gatherer struct {
	k   *tlsLink
	buf []byte
}

func (w *gatherer) room() []byte { return w.buf[len(w.buf):cap(w.buf)] }

func (w *gatherer) bytes(b []byte) error {
	for len(b) > 0 {
		n := copy(w.room(), b)
		w.buf = w.buf[:len(w.buf)+n]
		b = b[n:]
		if err := w.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// rng reads a range piece by piece; it may wait for the disk.
func (w *gatherer) rng(rng *Range) error {
	if rng.Len > 0 && rng.File == nil {
		if int64(len(rng.Mem)) < rng.Len {
			return errNoBytes
		}
		return w.bytes(rng.Mem[:rng.Len])
	}
	for at := int64(0); at < rng.Len; {
		b := w.room()
		b = b[:min(int64(len(b)), rng.Len-at)]
		if err := readFull(rng.File, b, rng.Off+at); err != nil {
			return err
		}
		w.k.loop.stats.copiedBytes.Add(int64(len(b)))
		w.buf = w.buf[:len(w.buf)+len(b)]
		at += int64(len(b))
		if err := w.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

func (w *gatherer) flushFull() error {
	if len(w.buf) < cap(w.buf) {
		return nil
	}
	return w.flush()
}

func (w *gatherer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.k.tc.Write(w.buf)
	w.buf = w.buf[:0]
	w.k.moved.Add(int64(n))
	w.k.loop.stats.bytesOut.Add(int64(n))
	return err
}

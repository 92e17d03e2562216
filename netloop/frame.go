package netloop

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/mmap"
)

// assembler puts one frame together: four bytes of length, then the body in a
// buffer of the frame's own size class, which goes to the request as it is.
type assembler struct {
	prefix [4]byte
	have   int           // bytes of prefix
	buf    *codec.Buffer // nil until the frame has its memory
	filled int
}

// size is the length that the prefix names; only with have == 4.
func (a *assembler) size() int { return int(int32(binary.BigEndian.Uint32(a.prefix[:]))) }

// fillPrefix takes bytes of the prefix and returns what is left.
func (a *assembler) fillPrefix(p []byte) []byte {
	n := copy(a.prefix[a.have:], p)
	a.have += n
	return p[n:]
}

// fillBody takes bytes of the body and returns what is left.
func (a *assembler) fillBody(p []byte) []byte {
	n := copy(a.buf.B[a.filled:], p)
	a.filled += n
	return p[n:]
}

// take gives the complete frame, or nil.
func (a *assembler) take() *codec.Buffer {
	if a.buf == nil || a.filled < len(a.buf.B) {
		return nil
	}
	b := a.buf
	*a = assembler{}
	return b
}

const (
	// readBudget is what one connection may read in one turn.
	readBudget = 256 << 10
	// directBody is the rest of a body from which it is read straight into
	// its buffer, together with what follows, by one readv.
	directBody = 4 << 10
	// firstRead is what is read before a frame's length is known on a
	// connection whose frames are large: the rest then needs no copy. A
	// connection with small frames reads as much as the scratch holds, which
	// is many frames with one system call and a short copy each.
	firstRead = 4 << 10
	// largeFrame says which connections those are.
	largeFrame = 16 << 10
	// stashShare is the part of InFlightBytes that may be read ahead and kept
	// while a connection may not go on.
	stashShare = 8
	// progressStep is how much of a partial frame counts as a sign of life.
	progressStep = 64 << 10
)

// mayRead says whether the next frame may be read.
func (c *conn) mayRead() bool {
	if c.closed || c.draining || c.closing || c.muted || c.claiming ||
		c.tail-c.head >= uint64(c.maxInFlight) || c.outBytes > c.srv.opt.OutboundBytes {
		return false
	}
	if c.in.have == 4 && c.in.buf == nil && !c.granted {
		return c.connRoom(int64(c.in.size()))
	}
	return true
}

// connRoom says whether n more bytes fit the connection's own share; one frame
// alone always does.
func (c *conn) connRoom(n int64) bool {
	return c.inBytes == 0 || c.inBytes+n <= c.srv.opt.ConnInFlightBytes
}

// read takes what the socket has, up to readBudget. Loop only, after mayRead.
func (c *conn) read() {
	for budget := readBudget; budget > 0 && c.mayRead(); {
		n, asked, err := c.readOnce()
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			c.close(ClosedByPeer, fmt.Errorf("netloop: reading from %v: %w", c.remote, err))
			return
		case n == 0:
			c.close(ClosedByPeer, c.endOfStream())
			return
		case c.closed || n < asked:
			return
		}
		budget -= n
	}
}

func (c *conn) endOfStream() error {
	if c.in.have > 0 {
		return fmt.Errorf("netloop: the peer closed in the middle of a frame of %v", c.remote)
	}
	return nil
}

// readOnce makes one system call and parses what it gave.
func (c *conn) readOnce() (n, asked int, err error) {
	l := c.loop
	scratch := l.scratch
	if c.in.buf != nil && len(c.in.buf.B)-c.in.filled >= directBody {
		body := c.in.buf.B[c.in.filled:]
		scratch = scratch[:firstRead]
		iov := l.iov[:0]
		iov = appendIovec(iov, body)
		iov = appendIovec(iov, scratch)
		n, err = mmap.ReadInto(c.fd, iov)
		asked = len(body) + len(scratch)
		clear(iov)
		l.iov = iov
		if n <= 0 {
			return n, asked, err
		}
		l.stats.bytesIn.Add(int64(n))
		inBody := min(n, len(body))
		c.in.filled += inBody
		c.madeProgress(inBody)
		if inBody == len(body) {
			c.deliver()
			c.keep(c.consume(scratch[:n-inBody]))
		}
		return n, asked, nil
	}
	if c.large || c.maxInFlight == 1 || c.srv.shortOfMemory() {
		scratch = scratch[:firstRead]
	}
	n, err = unix.Read(c.fd, scratch)
	if err == unix.EINTR {
		return 0, len(scratch), unix.EAGAIN // level-triggered: the poller says it again
	}
	if n > 0 {
		l.stats.bytesIn.Add(int64(n))
		c.keep(c.consume(scratch[:n]))
	}
	return max(n, 0), len(scratch), err
}

// consume parses p and hands over its frames until it is used up or reading
// must pause; it returns what is left.
func (c *conn) consume(p []byte) []byte {
	for len(p) > 0 {
		if c.in.buf == nil {
			if !c.mayRead() {
				return p
			}
			if c.in.have < 4 {
				if p = c.in.fillPrefix(p); c.in.have < 4 {
					return nil
				}
			}
			if !c.begin() {
				return p
			}
			if c.in.buf == nil { // an empty raw frame was complete at once
				continue
			}
		}
		rest := c.in.fillBody(p)
		c.madeProgress(len(p) - len(rest))
		p = rest
		c.deliver()
	}
	return nil
}

// begin gives the frame whose prefix is there its memory. It reports false
// when the frame must wait or has ended the connection.
func (c *conn) begin() bool {
	n := c.in.size()
	if n < 0 || n > c.frameLimit || n == 0 && !c.raw {
		c.close(ClosedBadFrame, badFrame(c.remote, n, c.frameLimit))
		return false
	}
	if !c.granted {
		if !c.connRoom(int64(n)) {
			return false
		}
		if !c.srv.budget.take(&c.claim, int64(n)) {
			c.claiming = true
			c.pin(1)
			c.srv.startSweeps()
			c.loop.stats.memoryWaits.Add(1)
			return false
		}
		c.inBytes += int64(n)
	}
	c.granted = false
	c.in.buf, c.in.filled = codec.NewBuffer(n), 0
	c.deliver() // an empty raw frame is complete
	return true
}

func badFrame(remote netip.AddrPort, n, limit int) error {
	return fmt.Errorf("netloop: %v sent a frame of %d bytes; 1 to %d are allowed here (socket.request.max.bytes)", remote, n, limit)
}

// deliver hands the frame over when it is complete.
func (c *conn) deliver() {
	b := c.in.take()
	if b == nil {
		return
	}
	c.active, c.progress = c.loop.now, 0
	c.large = len(b.B) >= largeFrame
	c.hand(b, int64(len(b.B)))
}

// hand gives one frame to the handler.
func (c *conn) hand(b *codec.Buffer, cost int64) {
	s := c.push(cost, c.loop.now)
	c.loop.stats.frames.Add(1)
	c.callFrame(Frame{Slot: s, Buf: b, Received: c.loop.now, Raw: c.raw})
}

// madeProgress keeps a connection from counting as idle while a large frame
// comes in or a large answer goes out, but not one that sends or takes a byte
// now and then.
func (c *conn) madeProgress(n int) {
	if c.progress += n; c.progress >= progressStep {
		c.active, c.progress = c.loop.now, 0
	}
}

// keep stores what was read and may not be parsed yet, less than the scratch
// holds. It is not taken from the budget, since the very frame that waits for
// the budget may lie in it; see shortOfMemory for its bound.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 || c.closed {
		return
	}
	b := codec.NewBuffer(len(rest))
	copy(b.B, rest)
	c.srv.stashed.Add(int64(len(rest)))
	c.stash = b
}

// shortOfMemory says that connections should read little ahead: somebody waits
// for memory, or what was read ahead and kept has reached its share. Above that
// a connection keeps firstRead bytes at most.
func (s *Server) shortOfMemory() bool {
	return s.budget.waiting.Load() > 0 || s.stashed.Load() > s.opt.InFlightBytes/stashShare
}

// resume parses what was kept, as far as there is room.
func (c *conn) resume() {
	if c.granted && c.in.buf == nil && c.mayRead() {
		c.begin()
	}
	if c.stash == nil || !c.mayRead() {
		return
	}
	b := c.stash
	c.stash = nil
	rest := c.consume(b.B)
	c.keep(rest)
	c.srv.stashed.Add(-int64(len(b.B)))
	b.Release()
}

// grantTask is the arrival of memory that a connection waited for.
type grantTask conn

func (t *grantTask) RunOnLoop(l *Loop) {
	c := (*conn)(t)
	c.claiming = false
	if c.closed {
		c.srv.budget.give(c.claim.n)
	} else {
		c.granted = true
		c.inBytes += c.claim.n
		l.touch(c)
	}
	c.unpin()
}

// uncharge gives back the memory of a request that is answered.
func (c *conn) uncharge(cost int64) {
	if c.link != nil {
		c.link.uncharge(cost)
	} else {
		c.inBytes -= cost
	}
	c.srv.budget.give(cost)
}

// dropInput gives back what a closed connection had read and not handed over.
func (c *conn) dropInput() {
	if c.claiming && c.srv.budget.withdraw(&c.claim) {
		c.claiming = false
		c.unpin()
	}
	if c.in.buf != nil {
		c.uncharge(int64(len(c.in.buf.B)))
		c.in.buf.Release()
	} else if c.granted {
		c.uncharge(int64(c.in.size()))
	}
	c.in, c.granted = assembler{}, false
	if c.stash != nil {
		c.srv.stashed.Add(-int64(len(c.stash.B)))
		c.stash.Release()
		c.stash = nil
	}
}

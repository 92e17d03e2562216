package netloop

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/mmap"
)

const (
	// smallRange is up to where a range leaves by writev together with the
	// bytes around it. Above it sendfile is cheaper: it spares the copy and
	// costs one system call and two packets' worth of bookkeeping more.
	smallRange = 16 << 10
	// sendSlice is what one connection may send in one turn.
	sendSlice = 512 << 10
)

// obstacle is why gather stopped.
type obstacle uint8

const (
	atEnd   obstacle = iota // no more answers, or the turn's share is gathered
	atFile                  // a range for sendfile
	atChunk                 // a range without a descriptor, too large to copy whole
	atCold                  // a small range that the page cache does not have
	atBad                   // a range that names no bytes
)

var (
	errTruncated = errors.New("netloop: a file ended before the range that was promised from it")
	errNoBytes   = errors.New("netloop: a response's range has neither memory nor a file")
)

// flush sends answers in order until the socket is full, an answer is missing,
// a range is cold or the turn's share is sent.
func (c *conn) flush() {
	if c.blocked || c.coldBusy || c.lingering || c.againQueued || c.closed {
		return
	}
	for sent := 0; !c.closed; {
		c.advance(0) // past what has no bytes
		if c.lingering || c.closed || c.first() == nil {
			return
		}
		if sent >= sendSlice {
			c.goOnNextTurn()
			return
		}
		l := c.loop
		n, stop := c.gather(sendSlice - sent)
		var m int
		var err error
		switch {
		case n > 0:
			m, err = mmap.SendBuffers(c.fd, l.iov, stop == atFile || stop == atChunk)
			clear(l.iov)
		case stop == atFile:
			n, m, err = c.sendFile(sendSlice) // a header before it does not split it
		case stop == atChunk:
			n, m, err = c.sendChunk(sendSlice - sent)
		case stop == atCold:
			c.warmUp()
		case stop == atBad:
			err = errNoBytes
		default:
			return
		}
		if m > 0 {
			sent += m
			c.madeProgress(m)
			l.stats.bytesOut.Add(int64(m))
			c.advance(int64(m))
		}
		switch {
		case c.coldBusy:
			return
		case err == unix.EAGAIN || err == nil && m < n:
			c.blocked = true
			return
		case err != nil:
			c.sendFailed(err)
			return
		}
	}
}

func (c *conn) sendFailed(err error) {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		c.close(ClosedByPeer, fmt.Errorf("netloop: sending to %v: %w", c.remote, err))
		return
	}
	c.close(ClosedSendFailed, fmt.Errorf("netloop: sending to %v: %w", c.remote, err))
}

// goOnNextTurn lets the loop's other connections send before this one goes on.
func (c *conn) goOnNextTurn() {
	l := c.loop
	c.againQueued = true
	if l.again = append(l.again, c); len(l.again) == 1 {
		l.wake()
	}
}

// advance moves the sending position by n bytes and drops what is complete.
func (c *conn) advance(n int64) {
	for sl := c.first(); sl != nil && !c.closed && !c.lingering; sl = c.first() {
		switch sl.state {
		case slotSkipped:
			c.pop(sl)
		case slotFailed:
			why := sl.why
			c.pop(sl)
			c.finish(ClosedByHandler, why)
		default:
			r := sl.resp
			if n = r.advance(n); r.part < len(r.parts) {
				return
			}
			why := r.CloseAfter
			c.pop(sl)
			if why != nil {
				c.finish(ClosedByHandler, why)
			}
		}
	}
}

// advance moves the response's position by n bytes and returns how many are
// left when it is complete.
func (r *Response) advance(n int64) int64 {
	for r.part < len(r.parts) {
		rest := r.parts[r.part].len() - r.off
		if n < rest {
			r.off += n
			return 0
		}
		n -= rest
		r.part++
		r.off, r.warm = 0, 0
	}
	return n
}

// gather collects into the loop's iovecs what can leave with one system call,
// at most limit bytes, and says what stopped it.
func (c *conn) gather(limit int) (n int, stop obstacle) {
	l := c.loop
	l.iov = l.iov[:0]
	for seq := c.head; seq != c.tail; seq++ {
		sl := c.slot(seq)
		if sl.state == slotSkipped {
			continue
		}
		if sl.state != slotReady {
			return n, atEnd
		}
		r := sl.resp
		off := r.off
		for i := r.part; i < len(r.parts); i++ {
			p := &r.parts[i]
			if lit := int64(p.to - p.from); off < lit {
				n += l.add(r.Buf.B[p.from+int(off):p.to], limit-n)
				off = lit
			}
			if at := off - int64(p.to-p.from); at < p.rng.Len && n < limit && len(l.iov) < sendIovecs {
				mem, why := c.rangeBytes(p)
				if mem == nil {
					return n, why
				}
				n += l.add(mem[at:], limit-n)
			}
			if n >= limit || len(l.iov) >= sendIovecs {
				return n, atEnd
			}
			off = 0
		}
		if r.CloseAfter != nil {
			return n, atEnd
		}
	}
	return n, atEnd
}

// add puts b, cut to room bytes, into the loop's iovecs.
func (l *Loop) add(b []byte, room int) int {
	b = b[:min(len(b), max(room, 0))]
	l.iov = appendIovec(l.iov, b)
	return len(b)
}

func appendIovec(iov []unix.Iovec, b []byte) []unix.Iovec {
	if len(b) == 0 {
		return iov
	}
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return append(iov, v)
}

// rangeBytes gives all bytes of a part's range as memory when they can go by
// writev, or says how they go instead. It never waits for a disk: a small range
// that is not known to be in the page cache is read with RWF_NOWAIT.
func (c *conn) rangeBytes(p *part) ([]byte, obstacle) {
	if p.copied != nil {
		return p.copied.B, atEnd
	}
	rng := &p.rng
	if rng.File == nil {
		if int64(len(rng.Mem)) < rng.Len {
			return nil, atBad
		}
		return rng.Mem[:rng.Len], atEnd
	}
	fd, ok := rng.File.Fd()
	switch {
	case ok && rng.Len > smallRange:
		return nil, atFile
	case int64(len(rng.Mem)) >= rng.Len && (!ok || rng.Hot):
		return rng.Mem[:rng.Len], atEnd
	case rng.Len > smallRange:
		return nil, atChunk
	case !ok:
		return c.copyOut(p)
	}
	b := codec.NewBuffer(int(rng.Len))
	n, err := mmap.ReadCached(fd, b.B, rng.Off)
	if err == nil && n == len(b.B) {
		p.copied = b
		c.loop.stats.copiedBytes.Add(rng.Len)
		return b.B, atEnd
	}
	b.Release()
	if rng.Hot || err == unix.EOPNOTSUPP {
		return c.copyOut(p)
	}
	return nil, atCold
}

// copyOut reads a small range with ReadAt; an error closes the connection when
// the answer's turn comes.
func (c *conn) copyOut(p *part) ([]byte, obstacle) {
	b := codec.NewBuffer(int(p.rng.Len))
	if err := readFull(p.rng.File, b.B, p.rng.Off); err != nil {
		b.Release()
		return nil, atChunk // which meets the same error again, at its own time
	}
	p.copied = b
	c.loop.stats.copiedBytes.Add(p.rng.Len)
	return b.B, atEnd
}

func readFull(f File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errTruncated
	}
	return err
}

// current is the part that is being sent and the position within its range.
func (c *conn) current() (r *Response, p *part, at int64) {
	r = c.first().resp
	p = &r.parts[r.part]
	return r, p, r.off - int64(p.to-p.from)
}

// sendFile sends a slice of the current range by sendfile.
func (c *conn) sendFile(limit int) (asked, sent int, err error) {
	r, p, at := c.current()
	fd, ok := p.rng.File.Fd()
	if !ok {
		return 0, 0, errTruncated
	}
	n := min(int64(limit), p.rng.Len-at)
	if !p.rng.Hot && at+n > r.warm {
		// Only what the last slice did not ask about: a socket takes a part of
		// a slice at a time, and the rest was found in the cache just now.
		from := max(at, r.warm)
		if !mmap.Resident(fd, p.rng.Off+from, at+n-from) {
			c.warmUp()
			return 0, 0, nil
		}
		r.warm = at + n
	}
	m, err := mmap.Sendfile(c.fd, fd, p.rng.Off+at, int(n))
	if err == nil && m == 0 {
		err = errTruncated
	}
	if err == errTruncated || err == unix.EIO { // EIO is never a socket's
		p.rng.File.ReadFailed(err)
	}
	c.loop.stats.sendfileBytes.Add(int64(m))
	return int(n), m, err
}

// sendChunk copies the next piece of a range that has no descriptor and sends
// it. What the socket does not take is read again later: no memory is held for
// a slow reader.
func (c *conn) sendChunk(limit int) (asked, sent int, err error) {
	_, p, at := c.current()
	l := c.loop
	if l.chunk == nil {
		l.chunk = make([]byte, chunkBytes)
	}
	b := l.chunk[:min(int64(limit), p.rng.Len-at, chunkBytes)]
	if err := readFull(p.rng.File, b, p.rng.Off+at); err != nil {
		return 0, 0, err
	}
	l.iov = appendIovec(l.iov[:0], b)
	m, err := mmap.SendBuffers(c.fd, l.iov, at+int64(len(b)) < p.rng.Len)
	clear(l.iov)
	l.stats.copiedBytes.Add(int64(m))
	return len(b), m, err
}

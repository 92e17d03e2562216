package netloop

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/mmap"
)

// coldReaders are the few goroutines that wait for the disk so that loops need
// not. A connection has at most one job with them, so the queue is bounded by
// the connections, and jobs are served in order of arrival.
//
// A large range is only brought into the page cache, a slice at a time, and
// sent by sendfile: a buffer would be held for as long as the reader is slow.
// A small one is read into a buffer that leaves with the bytes around it.
type coldReaders struct {
	srv *Server

	mu     sync.Mutex
	wait   sync.Cond
	head   *coldJob // mu
	tail   *coldJob // mu
	closed bool     // mu
}

// coldJob is a connection's range that waits for the disk. The connection
// keeps the response, and with it the file, until the job has come back.
type coldJob struct {
	c     *conn
	next  *coldJob // coldReaders.mu
	part  *part
	fd    int
	off   int64
	n     int64
	small *codec.Buffer // read into, when not nil
	err   error
}

// prefetchAhead is how far the kernel is asked to read beyond a cold slice.
const prefetchAhead = 4 << 20

func newColdReaders(s *Server) *coldReaders {
	r := &coldReaders{srv: s}
	r.wait.L = &r.mu
	return r
}

// warmUp gives the current range to a worker. Loop only.
func (c *conn) warmUp() {
	r, p, at := c.current()
	at = max(at, 0)
	fd, ok := p.rng.File.Fd()
	if !ok {
		c.sendFailed(errTruncated)
		return
	}
	j := &c.cold
	*j = coldJob{c: c, part: p, fd: fd}
	if p.rng.Len <= smallRange {
		j.off, j.n = p.rng.Off, p.rng.Len
		j.small = codec.NewBuffer(int(j.n))
	} else {
		j.off, j.n = p.rng.Off+at, min(p.rng.Len-at, sendSlice)
		r.warm = at + j.n
	}
	c.coldBusy = true
	c.pin(1)
	c.loop.stats.coldReads.Add(1)
	c.srv.cold.put(j)
}

func (q *coldReaders) put(j *coldJob) {
	q.mu.Lock()
	if q.tail != nil {
		q.tail.next = j
	} else {
		q.head = j
	}
	q.tail = j
	q.mu.Unlock()
	q.wait.Signal()
}

// run is a worker's goroutine. It ends when the queue is closed and empty.
func (q *coldReaders) run() {
	scratch := make([]byte, 128<<10)
	for {
		q.mu.Lock()
		for q.head == nil && !q.closed {
			q.wait.Wait()
		}
		j := q.head
		if j == nil {
			q.mu.Unlock()
			return
		}
		if q.head = j.next; q.head == nil {
			q.tail = nil
		}
		j.next = nil
		q.mu.Unlock()
		j.read(scratch)
		j.c.loop.Post(j)
	}
}

func (q *coldReaders) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wait.Broadcast()
}

// read waits for the disk. Worker only.
func (j *coldJob) read(scratch []byte) {
	defer func() {
		if j.err != nil {
			j.part.rng.File.ReadFailed(j.err)
		}
	}()
	if j.small != nil {
		j.err = preadFull(j.fd, j.small.B, j.off)
		return
	}
	mmap.Prefetch(j.fd, j.off, j.n+prefetchAhead)
	for at := int64(0); at < j.n && j.err == nil; {
		b := scratch[:min(int64(len(scratch)), j.n-at)]
		j.err = preadFull(j.fd, b, j.off+at)
		at += int64(len(b))
	}
}

func preadFull(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(fd, b, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return errTruncated
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// RunOnLoop takes the job back.
func (j *coldJob) RunOnLoop(l *Loop) {
	c := j.c
	c.coldBusy = false
	switch {
	case c.closed || j.err != nil:
		if j.small != nil {
			j.small.Release()
		}
		if !c.closed {
			c.sendFailed(j.err)
		}
	default:
		if j.small != nil {
			j.part.copied = j.small
			l.stats.copiedBytes.Add(j.n)
		}
		l.touch(c)
	}
	c.cold = coldJob{}
	c.unpin()
}

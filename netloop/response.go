package netloop

import (
	"sync"

	"github.com/chronik-stream/chronik/codec"
)

// Response is one answer: the frame's bytes, with file ranges between them. It
// is built by the handler and handed to Conn.Respond, which owns it from then
// on. Get one from [NewResponse]; it returns to the pool by itself.
//
// The bytes live in Buf. Cut closes the piece of Buf written since the last
// cut and puts a range behind it; the length prefix at the front of Buf must
// count the ranges too.
type Response struct {
	// Buf holds all literal bytes of the response, the four-byte length prefix
	// included. Released with the response.
	Buf *codec.Buffer
	// CloseAfter closes the connection once the response is sent.
	CloseAfter error

	parts []part
	// part and off say how far the response is sent: off counts the bytes of
	// parts[part], literal piece first. The connection's.
	part int
	off  int64
	warm int64 // up to where the current range was found or made resident
}

// part is Buf.B[from:to] followed by rng (when rng.Len > 0).
type part struct {
	from, to int
	rng      Range
	copied   *codec.Buffer // the range's bytes when they had to be copied out
}

func (p *part) len() int64 { return int64(p.to-p.from) + p.rng.Len }

// keepParts is how many parts a pooled response may keep room for.
const keepParts = 64

// responses is shared by all servers of a process: it holds empty objects only.
var responses = sync.Pool{New: func() any { return new(Response) }}

// NewResponse gives an empty response whose Buf has capacity for n bytes.
// Any goroutine.
func NewResponse(n int) *Response {
	r := responses.Get().(*Response)
	r.Buf = codec.NewBuffer(n)
	r.Buf.B = r.Buf.B[:0]
	return r
}

// Cut ends the piece of Buf since the last cut and puts r behind it. A Range
// of Len 0 is allowed and only cuts; its Owner is released with the response.
func (r *Response) Cut(rng Range) {
	r.parts = append(r.parts, part{from: r.cutAt(), to: len(r.Buf.B), rng: rng})
}

func (r *Response) cutAt() int {
	if n := len(r.parts); n > 0 {
		return r.parts[n-1].to
	}
	return 0
}

// ranges reports whether bytes of the response lie elsewhere than in Buf.
func (r *Response) ranges() bool {
	for i := range r.parts {
		if r.parts[i].rng.Len > 0 {
			return true
		}
	}
	return false
}

// seal makes a part of what follows the last cut. The connection's.
func (r *Response) seal() {
	if from := r.cutAt(); from < len(r.Buf.B) || len(r.parts) == 0 {
		r.parts = append(r.parts, part{from: from, to: len(r.Buf.B)})
	}
	r.part, r.off = 0, 0
}

// Release drops a response that was never handed to a connection.
func (r *Response) Release() {
	for i := range r.parts {
		p := &r.parts[i]
		if p.copied != nil {
			p.copied.Release()
		}
		if p.rng.Owner != nil {
			p.rng.Owner.Release()
		}
	}
	clear(r.parts)
	r.parts = r.parts[:0]
	if cap(r.parts) > keepParts {
		r.parts = nil
	}
	r.Buf.Release()
	r.Buf, r.CloseAfter, r.part, r.off, r.warm = nil, nil, 0, 0, 0
	responses.Put(r)
}

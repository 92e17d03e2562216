package netloop

import "github.com/chronik-stream/chronik/codec"

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
}

// part is Buf.B[from:to] followed by rng (when rng.Len > 0).
type part struct {
	from, to int
	rng      Range
}

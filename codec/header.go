package codec

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error of a request that cannot be parsed;
// the connection is to be closed.
var ErrMalformed = errors.New("codec: the request is malformed")

// malformed names the request that could not be read.
func malformed(key, version int16, what string) error {
	return fmt.Errorf("%w: key %d version %d: %s", ErrMalformed, key, version, what)
}

// RequestHeader is a parsed request header (v0, v1 or v2, chosen by key and version).
type RequestHeader struct {
	Key           int16
	Version       int16
	CorrelationID int32
	// ClientID aliases the frame; empty for null.
	ClientID []byte
}

// controlledShutdown is the one API whose version 0 has a header of its own:
// v0, without a client id.
const controlledShutdown = 7

// apiVersions answers with response header v0 in every version, so that a
// client that does not know the version can still read it (KIP-511).
const apiVersions = 18

// ParseHeader parses the header of a frame (without length prefix) and returns
// the body that follows, aliasing the frame. An unknown key is parsed as
// header v1; the caller refuses it. Any goroutine; allocates nothing but errors.
func ParseHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	r := reader{b: frame}
	h.Key = r.int16()
	h.Version = r.int16()
	h.CorrelationID = r.int32()
	if h.Key != controlledShutdown || h.Version != 0 {
		// A nullable string of the old dialect even in flexible headers.
		h.ClientID = r.nullableString(false)
		r.skipTags(isFlexible(h.Key, h.Version))
	}
	if r.bad {
		return RequestHeader{}, nil, malformed(h.Key, h.Version, "the request header ends early")
	}
	return h, r.b, nil
}

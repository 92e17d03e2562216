package codec

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AppendResponseHeader appends four zero bytes for the length, the correlation
// id and, for flexible versions but ApiVersions, an empty tag section. Finish
// with FinishResponse.
func AppendResponseHeader(dst []byte, key, version int16, correlationID int32) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInt32(dst, correlationID)
	return appendEmptyTags(dst, isFlexible(key, version) && key != apiVersions)
}

// FinishResponse writes the length prefix of a response that starts at dst[0]
// and whose file ranges hold extra bytes more.
func FinishResponse(dst []byte, extra int64) {
	binary.BigEndian.PutUint32(dst, uint32(int64(len(dst)-4)+extra))
}

// AppendResponse appends a whole response, length prefix and header included,
// in resp's own version.
func AppendResponse(dst []byte, resp kmsg.Response, correlationID int32) []byte {
	start := len(dst)
	dst = AppendResponseHeader(dst, resp.Key(), resp.GetVersion(), correlationID)
	dst = resp.AppendTo(dst)
	FinishResponse(dst[start:], 0)
	return dst
}

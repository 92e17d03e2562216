package codec

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DecodeRequest decodes a request body with kmsg, behind [Guard]. Strings are
// copied and may be kept; every []byte field (records, SASL tokens, group
// protocol metadata and assignments, telemetry) aliases body and dies with it.
// All errors wrap ErrMalformed.
func DecodeRequest(key, version int16, body []byte) (kmsg.Request, error) {
	if err := Guard(key, version, body); err != nil {
		return nil, err
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: key %d version %d: %w", ErrMalformed, key, version, err)
	}
	return req, nil
}

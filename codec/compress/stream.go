package compress

import (
	"errors"
	"io"
)

// readLimited appends r's bytes to dst until its end; more than limit are
// ErrTooLarge. It grows dst as data comes, so that a small bomb costs no more
// than twice what it really holds, and never more than limit.
func readLimited(dst []byte, r io.Reader, limit int) ([]byte, error) {
	const least = 4096
	start := len(dst)
	for {
		got := len(dst) - start
		if len(dst) == cap(dst) {
			// One byte above the limit shows that there is more.
			want := min(max(got, least), limit-got+1)
			grown := make([]byte, len(dst), len(dst)+want)
			copy(grown, dst)
			dst = grown
		}
		room := min(cap(dst), start+limit+1)
		n, err := r.Read(dst[len(dst):room])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limit {
			return dst[:start+limit], ErrTooLarge
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// appendWriter appends what is written to b.
type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

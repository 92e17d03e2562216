// Package compress is Kafka's five codecs as they appear inside record
// batches: none, gzip, snappy (xerial framing and raw), lz4 frames, zstd.
// Decompression is always bounded by a limit that the caller states.
package compress

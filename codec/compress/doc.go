// Package compress is Kafka's five codecs as they appear inside record
// batches: none, gzip, snappy (xerial framing and raw), lz4 frames (v0's wrong
// header checksum too), zstd. Decompression is always bounded by a limit that
// the caller states. Nothing here belongs on an event loop.
//
// File map:
//
//	codec.go   ids, names, levels; Append and Decompress
//	stream.go  reading a stream up to a limit
//	gzip.go, snappy.go, lz4.go, zstd.go  one codec each
package compress

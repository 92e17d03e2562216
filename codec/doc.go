// Package codec is the Kafka wire: request headers, the version table,
// zero-copy walkers for Produce and Fetch, response writers that leave holes
// for file ranges, pooled buffers, and a guard in front of kmsg.
//
// Produce and Fetch are written by hand since they are the hot path; every
// other request goes through kmsg after [Guard] has walked it by its schema: a
// few bytes can otherwise keep kmsg busy for minutes or make it allocate
// gigabytes. kmsg is also the tests' oracle for everything written by hand, in
// every version. kmsg decodes every version that Kafka 4.4 has but the unstable
// InitProducerId v6.
//
// Slices and strings given out by a walker alias the request's buffer and die
// with it. Each function says so. Everything here may be called from any
// goroutine; a walker or a writer belongs to one at a time.
//
// File map:
//
//	buffer.go            pooled buffers; buffer_checked.go their checks under the
//	                     invariants tag, buffer_plain.go without it
//	header.go            request headers
//	versions.go          newest and first flexible version of each key
//	reader.go            reading primitives, bounded
//	appender.go          writing primitives
//	topic.go             topics by name or id, broker endpoints
//	produce_request.go   Produce walker, v0 to v13
//	produce_response.go  Produce response writer
//	fetch_request.go     Fetch walker, v0 to v18
//	fetch_response.go    Fetch response writer
//	request.go           every other request, through kmsg
//	response.go          response header, length, kmsg responses
//	guard.go             the walk in front of kmsg
//	schema_gen.go        its table, generated from kmsg's decoders by schema_test.go
package codec

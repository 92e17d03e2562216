// Package codec is the Kafka wire: request headers, the version table,
// zero-copy walkers for Produce and Fetch, response builders that leave holes
// for file ranges, pooled buffers, and a guard in front of kmsg.
//
// Produce and Fetch are written by hand since they are the hot path; every
// other request goes through kmsg after [Guard] has bounded its array counts
// and tag counts: a few bytes can otherwise keep kmsg busy for minutes or make
// it allocate gigabytes. kmsg is also the test's oracle for everything written
// by hand, in every version.
//
// Slices and strings given out by a walker alias the request's buffer and die
// with it. Each function says so.
package codec

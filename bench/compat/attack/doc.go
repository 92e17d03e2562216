// Package attack tries to get into a broker, or to keep others from it, without
// the right to: `make attack` runs it against bin/chronik, which it starts itself
// with a listener of every protocol that authenticates. It knows the broker by
// its wire only: kmsg, crypto/tls and plain sockets.
//
// Everything that it finds is a bug of the broker's, which gets a test of its
// own where it was made.
//
// File map:
//
//	server_test.go     the broker under attack: certificates, token keys, its log and audit log
//	wire_test.go       a client of single requests, and of frames that are none
//	before_test.go     every API before login; frames that are too large
//	downgrade_test.go  old TLS, other mechanisms, plaintext where TLS is spoken
//	scram_test.go      proofs that are replayed, cut, borrowed or changed
//	malformed_test.go  SASL tokens that are none, from a table and at random
//	timing_test.go     whether time tells which users exist
//	jwt_test.go        tokens that are signed by nobody, by the wrong key, for somebody else
//	cert_test.go       client certificates of other authorities, uses and times
//	flood_test.go      10,000 connections that say nothing, or little, beside a producer
package attack

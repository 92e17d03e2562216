// Package broker does what each Kafka API means, one file per API key
// (00_produce.go …), and is the composition root: [Start] is the same code for
// the server, a Go test and embedded use.
package broker

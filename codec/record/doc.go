// Package record reads and writes Kafka record batches: format v2, the older
// message sets v0 and v1, and control batches.
//
// Nothing in it keeps what it is given. A [Batch] is a view over bytes that
// somebody else owns.
package record

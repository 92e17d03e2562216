// Package record reads and writes Kafka record batches: format v2, the older
// message sets v0 and v1, and control batches.
//
// Nothing in it keeps what it is given. A [Batch] is a view over bytes that
// somebody else owns. What may take long (decompression, conversion) says so;
// the rest is fit for an event loop.
//
// File map:
//
//	batch.go        Batch: header accessors, in-place patches, CRC; Next, Check
//	record.go       records and headers of a payload
//	payload.go      a batch's records, decompressed when need be
//	validate.go     what Kafka's LogValidator asks of a batch
//	builder.go      making a batch
//	control.go      end-of-transaction markers
//	message.go      message sets of format 0 and 1
//	upconvert.go    a message set into one batch; another codec for a batch
//	downconvert.go  batches into a message set
//	varint.go       zigzag varints
//	errors.go       what can be wrong, with Kafka's codes
package record

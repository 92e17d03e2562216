// Package logstore keeps partition logs: segments in Kafka's own file formats,
// sparse indexes, producer state, leader epochs, one shared journal per data
// directory with group commit, recovery, checkpoints, retention, compaction.
//
// # Who calls what
//
// A [Store] is opened in two steps. [Open] locks the data directories and
// reads the journals. [Store.OpenLog] then opens one partition, its journal
// frames replayed; cluster opens the metadata log first and, from what it
// says, broker opens the others. [Store.Ready] ends recovery: the new
// generation is durable, directories that the metadata does not know are
// renamed away. Appends are refused before it, but for the metadata log's.
//
// [Log.Append] never waits for the disk. It returns once the batch has its
// offset; the [Token] that came with it is handed to Options.OnCommit when the
// batch is as durable as the log's mode promises. OnCommit runs on the
// committer's goroutine, must not wait and must not take a lock that anybody
// holds across an Append.
//
// [Log.Read] gives a range of whole batches at or below the high watermark or
// the last stable offset, as a [Slice] of one segment that stays valid until
// it is released.
package logstore

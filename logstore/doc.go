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
// committer's goroutine or in [Store.Lead], must not wait and must not take a lock
// that anybody holds across an Append.
//
// [Log.Read] gives a range of whole batches at or below the high watermark or
// the last stable offset, as a [Slice] of one segment that stays valid until
// it is released.
//
// # How an append becomes durable
//
// Append writes the batch into the active segment (by pwrite, or through a
// mapped window when the log is hot) and pushes an entry to the committer of
// its data directory. The committer takes what arrived during its last sync,
// writes it as one group of frames to the journal with one call, syncs once,
// raises the high watermarks and hands out the tokens. Segments and indexes
// are synced later, by checkpoints on the keeper's goroutine, which then
// release the journal. committer.go, journal.go and checkpoint.go open with
// their arguments; recovery.go says how the pieces are put together again.
//
// The high watermark is the durable offset: nobody reads what a power cut can
// take back.
//
// # Goroutines
//
// A data directory has a committer, a keeper (checkpoints, journal files,
// seals, unlinks, free space), a mapper (windows) and, while they are used, up
// to 32 workers for direct syncs. A store has retention, cleaner, scrub and
// the stall watchdog. An
// idle partition has none, nor a timer.
//
// # Locks
//
// Log.mu is held by an append, a roll, a capture. Under it Segment.imu (the
// indexes), Segment.smu and fmu (the descriptor) may be taken, then the
// leaves: watermarks, epochCache, the committer's queue, dir.mu, fileCache.mu,
// mapper.mu. dir.ckptMu and mapper.work are taken before all of them: one checkpoint, seal, swap
// or deletion at a time works in a directory, and no file is cut under a map. The committer takes leaves and a
// segment's smu and fmu only, so that no append can hold it up.
//
// # Figures
//
// FIGURES.md has those of the benchmarks, beside raw fdatasync of the same disk:
// 1 KiB in each of many partitions made durable, first appends, closed loops in each
// mode, what an append and a lookup cost their caller. make bench-log writes it.
//
// A prototype took 0.44 ms for 1 KiB in each of 1,000 partitions: of the journal alone.
// Here an operation is 1,000 appends by one goroutine as well, 4.2 µs each, of which
// 3.5 are the pwrite into a file of its own (profile of 100 operations), which is more
// than half of what is measured; the rest is the group's megabyte of journal. A journal
// without segments would have to be read by consumers.
//
// Not of a benchmark: 300 idle partitions take 1.7 to 2.2 KiB of heap each. A broker
// with 10 GB in 6 partitions serves its first record 49 to 73 ms after the process
// began when it was stopped cleanly, and 107 to 185 ms after kill -9 under load (4
// each; commit mode, page cache warm, nothing else on 2 cores of a Xeon; 5624313;
// chronik bench compare --more --cells log10g --peers commit). On a busy machine (load
// 13 to 40) an earlier build took up to 215 ms, and 668 to 1,089 ms: what it costs is
// reading the journal's ring.
//
// 10,000 partitions in one topic, the whole binary (245cc89; ext4 on a virtio
// disk, 2 cores of a Xeon, load 6 to 9; go test -run TenThousand -v
// ./cmd/chronik): made in 1.9 to 3.8 s; a record in each in 1.2 to 2.4 s; ready
// 84 to 206 ms after a clean stop, 0.5 to 1.2 s after kill -9 with all of them
// written to behind the last checkpoint, 0.2 to 0.3 s when none was. 1.4 KB of
// heap each while idle, 2.7 KB just after an append; 49 MB RSS (25 anonymous), 31
// goroutines and some 165 maps, which do not go by the partitions; descriptors up
// to the files' share. A stop right after all were written to takes 5.8 s: four
// syncs for each.
//
// A start after kill -9 of the 10 GB under load made 69,482 reads when it read all
// of the ring and a frame block by block, and makes 4,929 now that it passes files
// over and reads 64 blocks at once (strace; 2.5 s and 0.9 s under it).
//
// # What is not here
//
// No preallocation but by windows, and by a topic's preallocate=true. Its steps are
// the windows': none for a cold log, 64 KiB for one that gets hot, 256 KiB after
// that, none on a full disk. Steps that double to 16 or 32 MiB were planned: but a step
// is taken ahead, on the mapper's goroutine, so that no append waits for it, and
// thousands of hot logs would hold a disk's worth of blocks that nobody wrote. The
// directory that holds the metadata log is not replaceable: without it no start.
//
// # File map
//
//	api.go             options, errors, the types that callers see
//	store.go           Store: Open, Ready, Close, Checkpoint
//	openlog.go         OpenLog, CreateLog, Delete
//	dir.go             a data directory: format, lock, offline, disk space;
//	                   siblings.go: which of them belong together
//	keeper.go          a directory's slow work; ballast.go: room on a full disk
//	log.go             Log: state, lazy load, log start
//	append.go          Append; validate.go: what is checked without the lock;
//	                   invariants_on.go, invariants_off.go: readers let in between its moves
//	roll.go            when a segment is closed
//	window.go          mapped windows for hot logs
//	producer.go        idempotence and transactions; snapshot.go: .snapshot
//	verification.go    guards between the coordinator's word and the append
//	watermarks.go      log start, high watermark, last stable offset, log end
//	epochs.go          leader-epoch-checkpoint
//	queue.go           the bounded queue before the committer
//	committer.go       group commit; leader.go: by whom; direct.go: segments synced directly;
//	                   diskcost.go: when
//	journal.go         the ring; journalformat.go: its bytes; journalread.go;
//	                   journalskip.go: what of it need not be read
//	writeback.go       segments are written while they grow
//	checkpoint.go      recovery points move up; checkpointfile.go: the file
//	recovery.go        one log after an unclean stop; untouched.go: which need it
//	salvage.go         what can be kept around damage; damage.go: holes in a log
//	segment.go         a segment, its descriptor and pins; filecache.go: how many
//	names.go           the names in a log's directory are durable
//	entryfile.go       .index, .timeindex, .txnindex; indexes.go: loads, rebuilds
//	seal.go            .seal
//	read.go            ranges; lookup.go: offsets by time; deleterecords.go;
//	                   readfault.go: what a failed read means
//	files.go           names, atomic writes; offsetfile.go: Kafka's checkpoints
//	watchdog.go        a disk that does not answer
//	stats.go           counters and histograms
//	upkeep.go          retention, compaction and scrub as goroutines
//	retention.go       what is too old or too much
//	cleaner.go         which log to compact; compactplan.go, compactrun.go,
//	                   compactbatch.go, compacttxn.go, compactmap.go,
//	                   compactswap.go: how; pacer.go: how fast
//	scrub.go           sealed segments against their seals; verify.go,
//	                   verifydir.go: the same for a whole directory
//	segmentscan.go     batches of a segment, checked
//	dump.go            files as text or JSON; dumpjournal.go: the journal
package logstore

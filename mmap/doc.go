// Package mmap wraps the Linux system calls that the log and the event loops
// need and that package os does not give: map, populate, sync, fallocate,
// vectored writes, sendfile, the page cache's state, flock, statfs. One noun a
// file; nothing but golang.org/x/sys beneath. Calls that a signal interrupts
// are repeated, short reads and writes go on.
//
// # A map in Go
//
// A page fault stops the thread and, unlike a system call, Go's scheduler does
// not know: the processor stands still with it. So a page is populated by a
// background goroutine before it is touched ([Populate]), and a cold range is
// left to sendfile or read on a worker ([Cached] tells). A touch that the
// kernel cannot serve raises SIGBUS, which ends the process unless it happens
// in [Copy] or [Guard], where it is an error. It cannot happen for a lack of
// space where blocks were reserved by [Allocate] and the file system keeps
// that promise ([Space].Reserves).
//
// # What appending to a segment costs
//
// µs for one append to a fallocated segment, mean of the loop (p99 / p99.9
// where a sync runs beside), ext4 on a virtio disk, Linux 6.18, 2 cores of an
// EPYC, other work on the machine; trust the ratios. "journal" writes and
// fdatasyncs another file in a loop, "self" fdatasyncs the segments in turn.
//
//	beside    segments  record  pwrite             cold               populated          after write-back
//	quiet            1   256 B   1.6                0.66               0.25               0.45
//	quiet            1   1 KiB   2.6                1.2                0.27               1.1
//	quiet            1  16 KiB   6.9                8.4                1.9                12
//	quiet          100   256 B   1.3                1.7                0.19               0.52
//	quiet          100   1 KiB   2.6                3.3                0.45               1.4
//	quiet          100  16 KiB   8.2                25                 2.5                17
//	journal          1   1 KiB   3.4 (36 / 155)     2.0 (23 / 85)      0.57 (0.8 / 30)    1.8 (33 / 81)
//	journal          1  16 KiB   9.3 (60 / 176)     11 (82 / 1,135)    2.0 (3.2 / 42)     18 (111 / 421)
//	journal        100   1 KiB   3.0 (34 / 98)      3.6 (7.9 / 434)    0.48 (0.6 / 1.4)   2.7 (51 / 114)
//	journal        100  16 KiB   16 (98 / 605)      37 (537 / 1,011)   5.0 (90 / 203)     24 (157 / 550)
//	self             1   1 KiB   2.7 (7.5 / 96)     2.1 (16 / 134)     0.82 (8.7 / 42)    1.7 (17 / 72)
//	self             1  16 KiB   9.4 (49 / 282)     15 (190 / 1,259)   26 (165 / 1,133)   28 (250 / 1,461)
//	self           100   1 KiB   2.6 (20 / 81)      3.5 (33 / 411)     1.6 (13 / 99)      2.2 (34 / 109)
//	self           100  16 KiB   9.8 (56 / 165)     48 (495 / 1,102)   9.6 (87 / 303)     25 (118 / 529)
//
// Again: go test -run '^$' -bench SegmentWrite -benchtime 20000x ./mmap
// (one run of 40 s gave these).
//
// What follows: a populated window beats pwrite 3 to 10 times as long as the
// segment itself is not synced meanwhile, which is what the journal is for. A
// cold window is no gain, and a loss from a few KiB or many segments on. Pages
// that were written back are protected again and cost a fault each, so a
// window is populated shortly before it is filled and not long before, and a
// segment that is synced directly is better written by pwrite.
//
// # File map
//
//	map_linux.go       Map, Anonymous, Unmap, Populate
//	fault_linux.go     Copy, Guard: SIGBUS as an error; PageSize
//	sync_linux.go      Datasync, Sync, SyncRange, Flush
//	allocate_linux.go  Allocate, PunchHole, Truncate
//	write_linux.go     Pread, Pwrite
//	cached_linux.go    Cached
//	sendfile_linux.go  Sendfile
//	lock_linux.go      Lock, Unlock
//	bell_linux.go      Bell: a goroutine's thread sleeps on a futex
//	priority_linux.go  Background: a goroutine's thread behind the others
//	space_linux.go     SpaceOf: free space and what kind of file system
package mmap

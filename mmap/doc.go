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
// FIGURES.md has the mean of an append by pwrite and through a map that is cold,
// populated or clean after write-back, over record sizes, segments and what the disk
// does meanwhile. make bench-log writes it.
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
//	write_linux.go     Pread, Pwrite, OpenDirect
//	cached_linux.go    Cached
//	sendfile_linux.go  Sendfile
//	lock_linux.go      Lock, Unlock
//	bell_linux.go      Bell: a goroutine's thread sleeps on a futex
//	priority_linux.go  Background: a goroutine's thread behind the others
//	space_linux.go     SpaceOf: free space and what kind of file system
package mmap

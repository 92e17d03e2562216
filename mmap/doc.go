// Package mmap wraps the Linux system calls that the log and the event loops
// need and that os does not give: map, populate, sync, fallocate, sendfile,
// mincore, flock. One noun a file; nothing but golang.org/x/sys beneath.
package mmap

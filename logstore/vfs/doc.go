// Package vfs is the disk as the log sees it: a small file-system interface,
// the real disk, and an in-memory disk that loses power on demand.
package vfs

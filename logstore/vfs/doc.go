// Package vfs is the disk as the log sees it: a small file-system interface
// ([FS], [File], [Mapping]), the real disk ([OS]), and one in memory ([Mem])
// that loses power on demand, fills up, and fails as told ([Fault]).
//
// A crash test runs a store on a Mem, orders a power cut with [Mem.CrashAt],
// and opens a second store on what [Mem.Crash] leaves; since every change is
// counted, it can do so at each of them.
//
// # File map
//
//	vfs.go        the interfaces
//	os_linux.go   the real disk
//	mem.go        the in-memory disk: names, locks, space
//	mem_names.go  which changes of names a power cut may lose
//	mem_inode.go  a file's sectors: seen, on the platter, lost by a failed sync
//	mem_file.go   its handles and maps
//	faults.go     faults, the counter of changes, the order to cut the power
//	crash.go      the disk after a power cut, or after a kill
package vfs

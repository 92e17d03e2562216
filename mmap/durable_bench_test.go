package mmap

import (
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BenchmarkDurableWrite is the ways to make 4 KiB durable in a file whose blocks
// are written already, as the journal's are, and what each is made of.
// bench/TARGETS.md has figures.
func BenchmarkDurableWrite(b *testing.B) {
	const size, block = 16 << 20, 4 << 10
	room := make([]byte, 2*block)
	at := -int(uintptr(unsafe.Pointer(&room[0]))) & (block - 1) // O_DIRECT takes aligned memory only
	data := room[at : at+block]
	clear(data)
	for _, way := range []struct {
		name        string
		flags       int
		write, sync bool
		rwf         int
	}{
		{name: "write alone", write: true},
		{name: "fdatasync alone", sync: true},
		{name: "write, fdatasync", write: true, sync: true},
		{name: "O_DSYNC", flags: unix.O_DSYNC, write: true},
		{name: "RWF_DSYNC", write: true, rwf: unix.RWF_DSYNC},
		{name: "O_DIRECT alone", flags: unix.O_DIRECT, write: true},
		{name: "O_DIRECT, fdatasync", flags: unix.O_DIRECT, write: true, sync: true},
		{name: "O_DIRECT and O_DSYNC", flags: unix.O_DIRECT | unix.O_DSYNC, write: true},
	} {
		b.Run(way.name, func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "f")
			fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			for off := int64(0); off < size; off += 1 << 20 {
				if _, err := unix.Pwrite(fd, make([]byte, 1<<20), off); err != nil {
					b.Fatal(err)
				}
			}
			if err := unix.Fsync(fd); err != nil {
				b.Fatal(err)
			}
			if err := unix.Close(fd); err != nil {
				b.Fatal(err)
			}
			if fd, err = unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC|way.flags, 0); err != nil {
				b.Skipf("this file system does not open so: %v", err)
			}
			defer func() {
				if err := unix.Close(fd); err != nil {
					b.Error(err)
				}
			}()
			off := int64(0)
			for b.Loop() {
				if way.write {
					if _, err := unix.Pwritev2(fd, [][]byte{data}, off, way.rwf); err != nil {
						b.Fatal(err)
					}
				}
				if way.sync {
					if err := unix.Fdatasync(fd); err != nil {
						b.Fatal(err)
					}
				}
				off = (off + block) % size
			}
		})
	}
}

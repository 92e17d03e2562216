package mmap

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpaceKinds: which file systems keep fallocate's promise, by the numbers
// that the kernel gives them (linux/magic.h).
func TestSpaceKinds(t *testing.T) {
	for _, c := range []struct {
		magic    uint32
		name     string
		reserves bool
	}{
		{0xef53, "ext4", true},
		{0x58465342, "xfs", true},
		{0x01021994, "tmpfs", true},
		{0xf2f52010, "f2fs", false},
		{0x9123683e, "btrfs", false},
		{0x794c7630, "overlay", false},
		{0x6969, "nfs", false},
		{0x2fc12fc1, "zfs", false},
		{0xca451a4e, "bcachefs", false},
		{0xff534d42, "cifs", false},
		{0xfe534d42, "cifs", false},
		{0x65735546, "fuse", false},
		{0x12345678, "", false},
	} {
		// The field is signed, and as wide as a word: both ways to say a number
		// above 2^31 mean the same.
		for _, magic := range []int64{int64(c.magic), int64(int32(c.magic))} {
			got := spaceOf(&unix.Statfs_t{Type: magic, Bsize: 4096, Blocks: 10, Bfree: 9, Bavail: 7})
			if want := (Space{Free: 7 * 4096, Total: 10 * 4096, Type: c.name, Reserves: c.reserves}); got != want {
				t.Errorf("%#x: %+v, want %+v", magic, got, want)
			}
		}
	}
}

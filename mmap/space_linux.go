package mmap

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is what statfs says of the file system that holds a path.
type Space struct {
	// Free is what an unprivileged process may still take, in bytes.
	Free, Total uint64
	// Type is ext4, xfs, f2fs, tmpfs, btrfs, zfs, bcachefs, overlay, nfs, cifs,
	// fuse, or "" when the magic number is unknown.
	Type string
	// Reserves says that a block given by [Allocate] stays the file's own, so
	// that a later store cannot meet a full disk. Copy-on-write file systems
	// take a new block for each write and cannot promise it; network and
	// stacked ones cannot know.
	Reserves bool
}

// types maps statfs magic numbers (linux/magic.h; zfs's is its own) to names.
// ext2, ext3 and ext4 share one number.
var types = map[uint32]struct {
	name     string
	reserves bool
}{
	unix.EXT4_SUPER_MAGIC:      {"ext4", true},
	unix.XFS_SUPER_MAGIC:       {"xfs", true},
	unix.TMPFS_MAGIC:           {"tmpfs", true},
	unix.F2FS_SUPER_MAGIC:      {"f2fs", false},
	unix.BTRFS_SUPER_MAGIC:     {"btrfs", false},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", false},
	unix.NFS_SUPER_MAGIC:       {"nfs", false},
	0x2fc12fc1:                 {"zfs", false},
	0xca451a4e:                 {"bcachefs", false},
	0xff534d42:                 {"cifs", false},
	0xfe534d42:                 {"cifs", false},
	0x65735546:                 {"fuse", false},
}

// SpaceOf asks statfs about the file system that holds path.
func SpaceOf(path string) (Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return Space{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	return spaceOf(&st), nil
}

// spaceOf reads statfs's answer. A file system that is not known reserves nothing.
func spaceOf(st *unix.Statfs_t) Space {
	kind := types[uint32(st.Type)]
	size := uint64(st.Bsize)
	return Space{Free: st.Bavail * size, Total: st.Blocks * size, Type: kind.name, Reserves: kind.reserves}
}

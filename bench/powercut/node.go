package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file or directory by name.
type node struct {
	fs.Inode
	disk *disk
}

// handle is an open file. Its descriptor is that of the backing file.
type handle struct {
	fd   int
	file *file
	disk *disk
}

var (
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeReaddirer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)
	_ fs.FileReader    = (*handle)(nil)
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileFsyncer   = (*handle)(nil)
	_ fs.FileAllocater = (*handle)(nil)
	_ fs.FileReleaser  = (*handle)(nil)
	_ fs.FileFlusher   = (*handle)(nil)
	_ fs.FileGetattrer = (*handle)(nil)
)

func (n *node) path() string { return filepath.Join(n.disk.dir, n.Path(n.Root())) }

func (n *node) child(ctx context.Context, st *syscall.Stat_t) *fs.Inode {
	return n.NewInode(ctx, &node{disk: n.disk}, fs.StableAttr{Mode: st.Mode & syscall.S_IFMT, Ino: st.Ino})
}

// attributes are those of the backing file, with the size that processes see.
func (d *disk) attributes(st *syscall.Stat_t, out *fuse.Attr) {
	out.FromStat(st)
	if st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		out.Size = uint64(d.file(st, false).length())
	}
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	var st syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(n.path(), name), &st); err != nil {
		return nil, fs.ToErrno(err)
	}
	n.disk.attributes(&st, &out.Attr)
	return n.child(ctx, &st), 0
}

func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if h, ok := f.(*handle); ok {
		return h.Getattr(ctx, out)
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(n.path(), &st); err != nil {
		return fs.ToErrno(err)
	}
	n.disk.attributes(&st, &out.Attr)
	return 0
}

func (h *handle) Getattr(_ context.Context, out *fuse.AttrOut) syscall.Errno {
	var st syscall.Stat_t
	if err := syscall.Fstat(h.fd, &st); err != nil {
		return fs.ToErrno(err)
	}
	out.FromStat(&st)
	out.Size = uint64(h.file.length())
	return 0
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if n.disk.dead.Load() {
			return syscall.EIO
		}
		var st syscall.Stat_t
		if h, open := f.(*handle); open {
			h.file.truncate(int64(size))
		} else if err := syscall.Lstat(n.path(), &st); err != nil {
			return fs.ToErrno(err)
		} else {
			n.disk.file(&st, false).truncate(int64(size))
		}
	}
	return n.Getattr(ctx, f, out)
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	return fs.NewLoopbackDirStream(n.path())
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	var s syscall.Statfs_t
	if err := syscall.Statfs(n.disk.dir, &s); err != nil {
		return fs.ToErrno(err)
	}
	out.FromStatfsT(&s)
	return 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, errno := n.disk.open(n.path(), int(flags), 0, false)
	return h, 0, errno
}

// open opens the backing file for reading and writing: a write to part of a page
// reads it first.
func (d *disk) open(path string, flags int, mode uint32, fresh bool) (*handle, syscall.Errno) {
	fd, err := syscall.Open(path, flags&(os.O_CREATE|os.O_EXCL)|syscall.O_RDWR|syscall.O_CLOEXEC, mode)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		syscall.Close(fd)
		return nil, fs.ToErrno(err)
	}
	h := &handle{fd: fd, file: d.file(&st, fresh), disk: d}
	if flags&os.O_TRUNC != 0 {
		h.file.truncate(0)
	}
	return h, 0
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if n.disk.dead.Load() {
		return nil, nil, 0, syscall.EIO
	}
	path := filepath.Join(n.path(), name)
	_, err := os.Lstat(path)
	fresh := os.IsNotExist(err)
	h, errno := n.disk.open(path, int(flags)|os.O_CREATE, mode, fresh)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	if fresh {
		n.disk.names.made(path)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(h.fd, &st); err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	n.disk.attributes(&st, &out.Attr)
	return n.child(ctx, &st), h, 0, 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.disk.dead.Load() {
		return nil, syscall.EIO
	}
	path := filepath.Join(n.path(), name)
	if err := os.Mkdir(path, os.FileMode(mode&0o7777)); err != nil {
		return nil, fs.ToErrno(err)
	}
	n.disk.names.made(path)
	return n.Lookup(ctx, name, out)
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno { return n.remove(name, false) }
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno  { return n.remove(name, true) }

func (n *node) remove(name string, dir bool) syscall.Errno {
	if n.disk.dead.Load() {
		return syscall.EIO
	}
	return fs.ToErrno(n.disk.names.remove(filepath.Join(n.path(), name), dir))
}

func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if n.disk.dead.Load() {
		return syscall.EIO
	}
	if flags != 0 {
		return syscall.ENOSYS
	}
	return fs.ToErrno(n.disk.names.rename(filepath.Join(n.path(), name), filepath.Join(to.(*node).path(), newName)))
}

func (n *node) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if h, ok := f.(*handle); ok {
		return h.Fsync(ctx, flags)
	}
	if n.disk.dead.Load() {
		return syscall.EIO
	}
	return fs.ToErrno(n.disk.names.sync(n.path()))
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	if h.disk.dead.Load() {
		return syscall.EIO
	}
	return fs.ToErrno(h.file.sync(h.fd))
}

func (h *handle) Read(_ context.Context, dst []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.file.read(h.fd, dst, off)
	return fuse.ReadResultData(dst[:n]), fs.ToErrno(err)
}

func (h *handle) Write(_ context.Context, src []byte, off int64) (uint32, syscall.Errno) {
	if h.disk.dead.Load() {
		return 0, syscall.EIO
	}
	if err := h.file.write(h.fd, src, off); err != nil {
		return 0, fs.ToErrno(err)
	}
	return uint32(len(src)), 0
}

func (h *handle) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	if mode&^unix.FALLOC_FL_KEEP_SIZE != 0 {
		return syscall.EOPNOTSUPP
	}
	if mode == 0 {
		h.file.grow(int64(off + size))
	}
	return 0
}

func (h *handle) Flush(context.Context) syscall.Errno { return 0 }

func (h *handle) Release(context.Context) syscall.Errno { return fs.ToErrno(syscall.Close(h.fd)) }

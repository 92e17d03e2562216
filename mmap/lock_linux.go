package mmap

import "golang.org/x/sys/unix"

// Lock takes an exclusive flock on an open file or fails at once with
// EWOULDBLOCK when another open file description holds it. The lock ends with
// [Unlock], the last close of the description, or the process.
func Lock(fd int) error {
	return retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

// Unlock gives a flock up.
func Unlock(fd int) error {
	return retry(func() error { return unix.Flock(fd, unix.LOCK_UN) })
}

// Command powercut is a file system that forgets, as a machine does that loses
// its power: it serves a directory by FUSE, and keeps in memory what was written
// and not synced, and which names were made, moved or removed in directories that
// were not synced since. SIGUSR1 is the power cut: of what is not synced it loses
// some or all, says what, and unmounts. What the directory holds then is what a
// machine would find after it.
//
// The rules are the strict ones of POSIX, not those of one kernel: fsync of a file
// covers its bytes and its size and not its name; fsync of a directory covers the
// names in it. bench/crash runs a broker on it with POWER=1.
//
// It is a module of its own, so that the broker's has nothing of FUSE.
//
// File map: file.go the bytes, names.go the names, node.go what FUSE asks.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what a cut keeps")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "powercut [--seed N] DIRECTORY MOUNTPOINT: DIRECTORY's files at MOUNTPOINT; SIGUSR1 cuts the power and unmounts")
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := serve(flag.Arg(0), flag.Arg(1), *seed); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

// serve returns after a cut, or when somebody has unmounted.
func serve(dir, mount string, seed uint64) error {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	d := newDisk(dir, rand.New(rand.NewPCG(seed, 0)))
	server, err := fs.Mount(mount, &node{disk: d}, &fs.Options{MountOptions: fuse.MountOptions{Name: "powercut", FsName: "powercut", MaxWrite: 1 << 20}})
	if err != nil {
		return fmt.Errorf("mounting at %s: %w", mount, err)
	}
	cut := make(chan os.Signal, 1)
	signal.Notify(cut, syscall.SIGUSR1)
	unmounted := make(chan error, 1)
	go func() {
		<-cut
		what, err := d.cut()
		fmt.Printf("power cut, seed %d: %s\n", seed, what)
		if err == nil {
			err = server.Unmount()
		}
		unmounted <- err
	}()
	server.Wait()
	if !d.dead.Load() {
		return nil
	}
	return <-unmounted
}

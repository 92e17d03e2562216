package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// names are the changes to directories that no sync has covered, oldest first.
// They are done in the backing directory at once, and can be taken back: what was
// removed or replaced lies in trash until then.
type names struct {
	trash   string
	mu      sync.Mutex
	pending []change // mu
	removed int      // mu; names in trash
}

// change is one name that came, went or moved. Paths are those of the backing
// directory today: they follow when a directory above them is renamed.
type change struct {
	from, to string // "" where the name was not there before, or is not there after
	saved    string // where in trash lies what stood at to, or what was removed
}

// save moves what stands at path to trash.
func (n *names) save(path string) (string, error) {
	if err := os.MkdirAll(n.trash, 0o700); err != nil {
		return "", err
	}
	n.removed++
	saved := filepath.Join(n.trash, strconv.Itoa(n.removed))
	return saved, os.Rename(path, saved)
}

// made notes a new name.
func (n *names) made(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending = append(n.pending, change{to: path})
}

// remove takes a file or an empty directory away.
func (n *names) remove(path string, dir bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if dir {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return syscall.ENOTEMPTY
		}
	}
	saved, err := n.save(path)
	if err == nil {
		n.pending = append(n.pending, change{from: path, saved: saved})
	}
	return err
}

// rename moves a name, over another where there is one.
func (n *names) rename(from, to string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := change{from: from, to: to}
	if _, err := os.Lstat(to); err == nil {
		if c.saved, err = n.save(to); err != nil {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	for k := range n.pending {
		p := &n.pending[k]
		p.from, p.to = moved(p.from, from, to), moved(p.to, from, to)
	}
	n.pending = append(n.pending, c)
	return nil
}

// moved is a path below a directory that was renamed.
func moved(path, from, to string) string {
	if rest, below := strings.CutPrefix(path, from+"/"); below {
		return to + "/" + rest
	}
	return path
}

// sync makes the names of a directory stay. A name that moved between two of them
// stays with the sync of the one that it came to.
func (n *names) sync(dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var failed error
	kept := []change{}
	for k, c := range n.pending {
		switch at := c.at(); {
		case filepath.Dir(at) != dir:
			if !n.goneWith(dir, k) {
				kept = append(kept, c)
			}
		case c.saved != "":
			failed = errors.Join(failed, os.RemoveAll(c.saved))
		}
	}
	n.pending = kept
	return failed
}

// at is the name that changed last.
func (c change) at() string {
	if c.to == "" {
		return c.from
	}
	return c.to
}

// goneWith tells whether change k is of a directory that was removed after it, as
// the sync of its parent dir now makes certain. Under mu.
func (n *names) goneWith(dir string, k int) bool {
	for _, later := range n.pending[k+1:] {
		if later.to == "" && filepath.Dir(later.from) == dir && strings.HasPrefix(n.pending[k].at(), later.from+"/") {
			return true
		}
	}
	return false
}

// cut takes back the newest changes, all of them or some.
func (n *names) cut(rng *rand.Rand) (forgotten, stayed int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if rng.IntN(2) == 0 && len(n.pending) > 0 {
		stayed = rng.IntN(len(n.pending) + 1)
	}
	for k := len(n.pending) - 1; k >= stayed; k-- {
		if err := n.pending[k].takeBack(); err != nil {
			return 0, 0, err
		}
		forgotten++
	}
	return forgotten, stayed, os.RemoveAll(n.trash)
}

func (c change) takeBack() error {
	switch {
	case c.from == "":
		return os.RemoveAll(c.to)
	case c.to == "":
		return os.Rename(c.saved, c.from)
	}
	if err := os.Rename(c.to, c.from); err != nil || c.saved == "" {
		return err
	}
	return os.Rename(c.saved, c.to)
}

// paths finds the names of all files.
func (d *disk) paths() (map[inode]string, error) {
	found := map[inode]string{}
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		found[inodeOf(info.Sys().(*syscall.Stat_t))] = path
		return nil
	})
	return found, err
}

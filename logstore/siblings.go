package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// fileSiblings lists, in each data directory of a store with several, all of them: a
// line «id path» each. Without it a disk that was not mounted is an empty directory,
// which a start would take for a new one, make its partitions there anew, and hide
// their records; or, where the metadata lay, begin a new cluster beside the old logs.
//
// Kafka keeps each partition's directory.id in its metadata (KIP-858) and leaves
// those of an unknown directory offline. Here the directories know each other and the
// partitions need not be written down: one that no directory has, while a directory
// is missing, is taken to lie there and refuses every use with ErrOffline.
const fileSiblings = "directories"

// maxSiblings bounds the file.
const maxSiblings = 1 << 20

// siblings are the data directories that belong together: id to where it last was.
type siblings map[TopicID]string

func (s siblings) encode() []byte {
	var b strings.Builder
	for _, id := range slices.SortedFunc(maps.Keys(s), func(a, b TopicID) int { return strings.Compare(a.String(), b.String()) }) {
		fmt.Fprintf(&b, "%s %s\n", id, s[id])
	}
	return []byte(b.String())
}

// addLines adds the lines of one directory's file.
func (s siblings) addLines(b []byte) error {
	for line := range strings.Lines(string(b)) {
		text, path, ok := strings.Cut(strings.TrimRight(line, "\n"), " ")
		id, err := parseTopicID(text)
		if err != nil || !ok || path == "" {
			return fmt.Errorf("the line %q is not a directory's id and its path", line)
		}
		s[id] = path
	}
	return nil
}

// at is the directory that was last at path.
func (s siblings) at(path string) (id TopicID, ok bool) {
	for id, p := range s {
		if p == path {
			return id, true
		}
	}
	return id, false
}

// hasFormat reports whether a directory is not new.
func (s *Store) hasFormat(path string) bool {
	_, err := s.fs.Stat(filepath.Join(path, fileFormat))
	return !errors.Is(err, fs.ErrNotExist)
}

// missing reads, before anything is written, what the directories know of each other,
// and gives those that are not among the store's. A directory that cannot be read is
// there: opening it will say what is wrong.
func (s *Store) missing() (siblings, error) {
	known, present := siblings{}, map[string]bool{}
	for _, path := range s.opt.Dirs {
		d := &dir{store: s, path: filepath.Clean(path)}
		found, err := d.readFormat()
		if err == nil && found {
			raw, err := readFile(s.fs, filepath.Join(d.path, fileSiblings), maxSiblings)
			if err == nil {
				err = known.addLines(raw)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !isDiskError(err) {
				return nil, fmt.Errorf("read %s: %w", filepath.Join(d.path, fileSiblings), err)
			}
			present[TopicID(d.id).String()] = true
		} else if err != nil {
			present[d.path] = true
		}
	}
	maps.DeleteFunc(known, func(id TopicID, path string) bool {
		return present[id.String()] || present[path] || slices.Contains(s.opt.ForgetDirs, id.String())
	})
	return known, nil
}

// noteSiblings writes the list into every directory that lacks it: those of this
// start and those that are missing. Before the first append, so that no partition is
// in a directory that the others do not know.
func (s *Store) noteSiblings(missing siblings) {
	all := maps.Clone(missing)
	for _, d := range s.dirs {
		if d.journal != nil {
			all[d.id] = d.path
		}
	}
	for _, d := range s.dirs {
		if d.journal == nil || d.offline.Load() {
			continue
		}
		name := filepath.Join(d.path, fileSiblings)
		old, err := readFile(s.fs, name, maxSiblings)
		if err == nil && string(old) == string(all.encode()) || errors.Is(err, fs.ErrNotExist) && len(all) == 1 {
			continue
		}
		if err := atomicWrite(s.fs, name, all.encode()); err != nil {
			_ = d.ioError(fmt.Errorf("write the list of data directories: %w", err)) // fails it, but for a full disk
		}
	}
}

// errMissing is why a directory that ought to be there is offline.
func errMissing(id TopicID, path string, listed bool) error {
	what := "is not among the data directories of this start"
	if listed {
		what = "is empty: its disk may not be mounted"
	}
	return fmt.Errorf("data directory %s (id %s) %s; its partitions are offline and nothing is written there: start with it again, or give up what it held with --forget-data-dir=%s", path, id, what, id)
}

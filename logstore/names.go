package logstore

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// dirNames knows whether a log's directory has names that no sync covers: a new
// segment's, an index's. Three may ask for the sync at a time: the committer, for a
// direct log, the keeper, which seals, and a checkpoint. None may go on while another's
// sync still runs, since what it then promises may lie in a file without a name; so a
// flag that the first one takes away will not do.
type dirNames struct {
	made atomic.Uint32 // how often a name was made

	mu     sync.Mutex
	synced uint32 // mu; made at the start of the last sync that succeeded
	err    error  // mu; the first failure, answered ever after: a second try would lie
}

// add notes a name; it is there already. Any goroutine.
func (n *dirNames) add() { n.made.Add(1) }

// syncNames makes new names in the log's directory durable. Waits for the disk, and
// for another's call; holds no lock that an append takes.
func (l *Log) syncNames() error {
	n := &l.names
	n.mu.Lock()
	defer n.mu.Unlock()
	made := n.made.Load()
	if made == n.synced || n.err != nil {
		return n.err
	}
	if err := l.store.fs.SyncDir(l.path); err != nil {
		if l.deleted.Load() {
			return nil
		}
		if tooManyFiles(err) {
			return fmt.Errorf("open directory of a log: %w", err) // nothing was tried
		}
		n.err = fmt.Errorf("sync directory of a log: %w", err)
		return n.err
	}
	n.synced = made
	return nil
}

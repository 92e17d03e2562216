package logstore

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// UpkeepOptions are how a store looks after its logs in the background. The
// zero value of a field means its default.
type UpkeepOptions struct {
	// RetentionEvery is how often retention is looked at: Kafka's
	// log.retention.check.interval.ms. Default 5 min.
	RetentionEvery time.Duration
	// InitialDelay is when it is looked at for the first time, unless
	// RetentionEvery is sooner: Kafka's log.initial.task.delay.ms. Default 30 s.
	InitialDelay time.Duration
	// CleanerThreads is how many logs are compacted at a time
	// (log.cleaner.threads). Default 1; -1 turns compaction off.
	CleanerThreads int
	// CleanerMapBytes bounds the key map of one compaction
	// (log.cleaner.dedupe.buffer.size). Default 128 MiB; it takes memory only
	// while it is used and only for the keys there are.
	CleanerMapBytes int64
	// CleanerRate bounds what one cleaner thread reads, in bytes a second
	// (log.cleaner.io.max.bytes.per.second). Default 64 MiB/s; -1: no bound.
	CleanerRate int64
	// CleanerBackoff is the wait when no log is dirty enough
	// (log.cleaner.backoff.ms). Default 15 s.
	CleanerBackoff time.Duration
	// ScrubRate is how many bytes a second the scrub reads. Default 8 MiB/s;
	// -1 turns it off.
	ScrubRate int64
	// ScrubEvery is the pause after a whole pass. Default 7 days.
	ScrubEvery time.Duration
	// OnDamage is told of damage that the scrub found, on its goroutine.
	OnDamage func(Damage)
}

func (o UpkeepOptions) withDefaults() UpkeepOptions {
	setDefault(&o.RetentionEvery, 5*time.Minute)
	setDefault(&o.InitialDelay, 30*time.Second)
	setDefault(&o.CleanerThreads, 1)
	setDefault(&o.CleanerMapBytes, 128<<20)
	setDefault(&o.CleanerRate, 64<<20)
	setDefault(&o.CleanerBackoff, 15*time.Second)
	setDefault(&o.ScrubRate, 8<<20)
	setDefault(&o.ScrubEvery, 7*24*time.Hour)
	return o
}

// Tuning is what of a store's options can be changed while it runs.
type Tuning struct {
	// CleanerThreads, CleanerMapBytes, CleanerRate and CleanerBackoff replace
	// those of UpkeepOptions; a compaction that runs ends as it began.
	CleanerThreads  int
	CleanerMapBytes int64
	CleanerRate     int64
	CleanerBackoff  time.Duration
	// ProducerExpiration replaces that of Options.
	ProducerExpiration time.Duration
	// Cordoned are the data directories that get no new partition.
	Cordoned []string
}

// Tune changes the store's tuning; zero values are left as they are, but for
// Cordoned, which is always replaced. Any goroutine, at any time.
func (s *Store) Tune(t Tuning) {
	now := s.tuning.Load()
	setDefault(&t.CleanerThreads, now.CleanerThreads)
	setDefault(&t.CleanerMapBytes, now.CleanerMapBytes)
	setDefault(&t.CleanerRate, now.CleanerRate)
	setDefault(&t.CleanerBackoff, now.CleanerBackoff)
	setDefault(&t.ProducerExpiration, now.ProducerExpiration)
	s.tuning.Store(&t)
	s.upkeep.hire()
}

// UpkeepStats is a snapshot of what upkeep did since the store was opened.
type UpkeepStats struct {
	ExpiredSegments              uint64
	Compactions                  uint64
	CompactRead, CompactWrote    uint64 // bytes
	CompactDropped               uint64 // records
	Uncleanable                  uint64 // logs that compaction gave up on
	ScrubbedSegments, ScrubBytes uint64
	ScrubPasses, ScrubDamage     uint64
	LastRetention, LastCleaning  time.Time
}

// upkeep is a store's background work on its logs: retention, compaction,
// scrub. It begins with Ready and ends with Close.
type upkeep struct {
	store   *Store
	cleaner *cleaner
	quit    chan struct{}
	wg      sync.WaitGroup
	// hired is the number of cleaner goroutines; hiring guards it and lets none
	// begin once quit is closed.
	hiring  sync.Mutex
	hired   int
	started bool
	// idle holds when a log's retention need next be looked at; the retention
	// goroutine's own.
	idle map[*Log]idleLog

	expired, compactions, compactRead, compactWrote, compactDropped atomic.Uint64
	uncleanable, scrubbed, scrubBytes, scrubPasses, scrubDamage     atomic.Uint64
	lastRetention, lastCleaning                                     atomic.Int64
}

// idleLog is a log as it was when nothing could be deleted before until. It is
// looked at again when anything of it changed.
type idleLog struct {
	until int64
	end   int64
	cfg   *LogConfig
}

// start begins the work; Ready calls it once.
func (u *upkeep) start(s *Store) {
	u.store, u.quit, u.idle = s, make(chan struct{}), map[*Log]idleLog{}
	u.cleaner = newCleaner(s)
	u.cleaner.load()
	opt := &s.opt.Upkeep
	u.goLoop("retention", min(opt.InitialDelay, opt.RetentionEvery), func() time.Duration {
		u.expireAll(s.nowMs())
		return opt.RetentionEvery
	})
	u.hiring.Lock()
	u.started = true
	u.hiring.Unlock()
	u.hire()
	if opt.ScrubRate > 0 {
		u.goLoop("scrub", time.Minute, func() time.Duration {
			u.scrubAll()
			return opt.ScrubEvery
		})
	}
}

// hire starts the cleaner goroutines that the tuning asks for and are not there
// yet. One that there are too many of rests.
func (u *upkeep) hire() {
	u.hiring.Lock()
	defer u.hiring.Unlock()
	if !u.started || u.stopping() {
		return
	}
	for ; u.hired < u.store.tuning.Load().CleanerThreads; u.hired++ {
		number := u.hired
		u.goLoop("cleaner", u.store.tuning.Load().CleanerBackoff, func() time.Duration {
			if t := u.store.tuning.Load(); number >= t.CleanerThreads {
				return t.CleanerBackoff
			}
			return u.cleanOne(u.store.nowMs())
		})
	}
}

// stop ends it; Close calls it first, so that no file is open any more.
func (u *upkeep) stop() {
	if u.quit == nil {
		return
	}
	u.hiring.Lock()
	close(u.quit)
	u.hiring.Unlock()
	u.wg.Wait()
}

// goLoop runs f after first and then after what it returns, until stop. A
// panic in f is logged and the loop goes on after first.
func (u *upkeep) goLoop(name string, first time.Duration, f func() time.Duration) {
	u.wg.Add(1)
	u.store.opt.Go(name, func() {
		defer u.wg.Done()
		debug.SetPanicOnFault(true)
		timer := time.NewTimer(first)
		defer timer.Stop()
		for {
			select {
			case <-u.quit:
				return
			case <-timer.C:
			}
			timer.Reset(u.guarded(name, first, f))
		}
	})
}

func (u *upkeep) guarded(name string, backoff time.Duration, f func() time.Duration) (next time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			u.store.logger.Error("background work panicked", "work", name, "panic", r, "stack", string(debug.Stack()))
			next = backoff
		}
	}()
	return f()
}

func (u *upkeep) stopping() bool {
	select {
	case <-u.quit:
		return true
	default:
		return false
	}
}

// expireAll applies retention to every log. For a log that did not change and
// whose oldest segment is young it costs a map lookup.
func (u *upkeep) expireAll(now int64) {
	logs := u.store.Logs()
	live := make(map[*Log]bool, len(logs))
	moved := map[*dir]bool{}
	for _, l := range logs {
		if u.stopping() {
			return
		}
		live[l] = true
		if u.stillIdle(l, now) {
			continue
		}
		did, err := l.expire(now)
		if err = l.readFault(err); err != nil {
			u.store.logger.Warn("retention failed; it is tried again", "log", l.path, "err", err)
			continue
		}
		if did {
			moved[l.dir] = true
			continue
		}
		if l.segs.Load() != nil {
			u.idle[l] = idleLog{l.untouchedUntil(), l.marks.offsets().HighWatermark, l.cfg.Load()}
		}
	}
	for l := range u.idle {
		if !live[l] {
			delete(u.idle, l)
		}
	}
	for d := range moved {
		// The starts become durable, then the files go.
		if err := d.checkpoint(false); err != nil {
			u.store.logger.Warn("retention waits for the next checkpoint", "dir", d.path, "err", err)
		}
	}
	u.lastRetention.Store(now)
}

// stillIdle: nothing was appended, the configuration is the same object, and
// the time rule cannot strike yet.
func (u *upkeep) stillIdle(l *Log, now int64) bool {
	i, ok := u.idle[l]
	return ok && now < i.until && i.cfg == l.cfg.Load() && i.end == l.marks.offsets().HighWatermark
}

// cleanOne compacts one log and says when to look again.
func (u *upkeep) cleanOne(now int64) time.Duration {
	did, err := u.cleaner.one(now, u.quit)
	u.lastCleaning.Store(now)
	if err != nil {
		u.store.logger.Error("compaction failed", "err", err)
	}
	if did && err == nil {
		return 0
	}
	return u.store.tuning.Load().CleanerBackoff
}

// Upkeep is a snapshot of the background work; it may be taken at any time.
func (s *Store) Upkeep() UpkeepStats {
	u := &s.upkeep
	return UpkeepStats{
		ExpiredSegments: u.expired.Load(), Compactions: u.compactions.Load(),
		CompactRead: u.compactRead.Load(), CompactWrote: u.compactWrote.Load(), CompactDropped: u.compactDropped.Load(),
		Uncleanable: u.uncleanable.Load(), ScrubbedSegments: u.scrubbed.Load(), ScrubBytes: u.scrubBytes.Load(),
		ScrubPasses: u.scrubPasses.Load(), ScrubDamage: u.scrubDamage.Load(),
		LastRetention: time.UnixMilli(u.lastRetention.Load()), LastCleaning: time.UnixMilli(u.lastCleaning.Load()),
	}
}

// CompactNow compacts until no log is due, as of now (ms), on the caller's
// goroutine: for tests and tools. The segments must lie below the recovery
// point, so call Checkpoint before.
func (s *Store) CompactNow(now int64) error {
	if s.upkeep.cleaner == nil {
		return ErrNotReady
	}
	for {
		did, err := s.upkeep.cleaner.one(now, s.upkeep.quit)
		if err != nil || !did {
			return err
		}
	}
}

// ExpireNow applies retention to a log as of now (ms) and makes it durable:
// for tests and tools.
func (l *Log) ExpireNow(now int64) error {
	did, err := l.expire(now)
	if err != nil || !did {
		return err
	}
	if err := l.dir.checkpoint(false); err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	return nil
}

func sortOffsets(lines []partitionOffset) {
	slices.SortFunc(lines, func(a, b partitionOffset) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
}

// Tuning is what is in force. Any goroutine.
func (s *Store) Tuning() Tuning { return *s.tuning.Load() }

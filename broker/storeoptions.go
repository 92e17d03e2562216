package broker

import (
	"strconv"
	"strings"
	"time"

	"github.com/chronik-stream/chronik/logstore"
)

// storeOptions are the logs' options as the broker's own configuration has
// them; what is not set there is the store's default.
func (b *Broker) storeOptions() logstore.Options {
	o := &b.opt
	so := logstore.Options{
		Dirs: o.DataDirs, FS: o.FS, JournalDir: o.JournalDir, JournalMax: o.JournalMax,
		Durability: o.Durability, SyncEvery: o.SyncEvery, AllowWeakerTopics: o.AllowWeakerTopics, CommitDelay: o.CommitDelay,
		SegmentWrite: o.SegmentWrite, MaxOpenFiles: o.MaxOpenFiles,
		QueueBytes: b.limit(limitQueueBytes), MaxProducers: int(b.limit(limitProducers)),
		ProducerExpiration: o.millis("producer.id.expiration.ms"),
		StallUnhealthy:     o.StallUnhealthy, StallExit: o.StallExit, OnStall: b.onStall,
		OnCommit: b.onCommit, OnOffline: b.onOffline, Logger: b.logger, Go: b.goroutines.Go,
	}
	so.Upkeep = logstore.UpkeepOptions{
		RetentionEvery:  o.millis("log.retention.check.interval.ms"),
		CleanerThreads:  int(o.number("log.cleaner.threads")),
		CleanerMapBytes: o.number("log.cleaner.dedupe.buffer.size"),
		CleanerBackoff:  o.millis("log.cleaner.backoff.ms"),
	}
	if rate, err := strconv.ParseFloat(o.Static["log.cleaner.io.max.bytes.per.second"], 64); err == nil && rate < 1<<53 {
		so.Upkeep.CleanerRate = max(int64(rate), 1)
	}
	if strings.EqualFold(o.Static["log.cleaner.enable"], "false") {
		so.Upkeep.CleanerThreads = -1
	}
	return so
}

// number is a key of the static configuration, 0 when it is not set; it was
// checked before.
func (o *Options) number(key string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(o.Static[key]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (o *Options) millis(key string) time.Duration {
	return time.Duration(o.number(key)) * time.Millisecond
}

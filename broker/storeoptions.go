package broker

import (
	"path/filepath"
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
		Dirs: o.DataDirs, ForgetDirs: o.ForgetDataDirs, FS: o.FS, JournalDir: o.JournalDir, JournalMax: o.JournalMax,
		Durability: o.Durability, SyncEvery: o.SyncEvery, AllowWeakerTopics: o.AllowWeakerTopics, CommitDelay: o.CommitDelay,
		JournalWrite: o.JournalWrite, SegmentWrite: o.SegmentWrite, WindowBudget: o.WindowBudget, MaxOpenFiles: o.MaxOpenFiles,
		QueueBytes: b.limit(limitQueueBytes), MaxProducers: int(b.limit(limitProducers)),
		StallUnhealthy: o.StallUnhealthy, StallExit: o.StallExit, OnStall: b.onStall,
		OnCommit: b.onCommit, OnOffline: b.onOffline, Logger: b.logger, Go: b.goroutines.Go,
	}
	so.Upkeep = logstore.UpkeepOptions{
		RetentionEvery: o.millis("log.retention.check.interval.ms"),
		InitialDelay:   o.millis("log.initial.task.delay.ms"),
		CleanerThreads: -1, // until tune
	}
	return so
}

// defaultCleanerRate is what one cleaner thread reads in a second when
// log.cleaner.io.max.bytes.per.second is not set: in Kafka it is not bounded
// then, which producers feel.
const defaultCleanerRate = 64 << 20

// tune gives the store the keys that may change while it runs.
func (b *Broker) tune() {
	c := b.cluster
	threads := int(c.BrokerInt("log.cleaner.threads"))
	t := logstore.Tuning{
		CleanerThreads: threads,
		CleanerMapBytes: max(int64(float64(c.BrokerInt("log.cleaner.dedupe.buffer.size"))/float64(max(threads, 1))*
			c.BrokerFloat("log.cleaner.io.buffer.load.factor")), 1),
		CleanerRate:        defaultCleanerRate,
		CleanerBackoff:     max(c.BrokerMillis("log.cleaner.backoff.ms"), time.Millisecond),
		ProducerExpiration: c.BrokerMillis("producer.id.expiration.ms"),
	}
	if threads == 0 || !c.BrokerBool("log.cleaner.enable") {
		t.CleanerThreads = -1
	}
	if rate := c.BrokerFloat("log.cleaner.io.max.bytes.per.second"); rate < 1<<53 {
		t.CleanerRate = max(int64(rate), 1)
	}
	for _, dir := range c.BrokerList("cordoned.log.dirs") {
		if dir == "*" {
			t.Cordoned = b.opt.DataDirs
		} else {
			t.Cordoned = append(t.Cordoned, filepath.Clean(dir))
		}
	}
	b.store.Tune(t)
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

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// life is one life of a broker as far as the metadata goes: a store, a cluster
// on it, and the goroutines of both.
type life struct {
	store   *logstore.Store
	cluster *Cluster
	running sync.WaitGroup
}

// begin starts a life on a disk.
func begin(fs vfs.FS, dir string, o Options) (*life, error) {
	l := &life{}
	start := func(_ string, f func()) { l.running.Go(f) }
	store, err := logstore.Open(logstore.Options{
		Dirs: []string{dir}, FS: fs, Go: start, JournalMax: 8 << 20,
		OnCommit: func(_ []logstore.Advance, done []logstore.Done) {
			for _, d := range done {
				Done(d)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	l.store = store
	o.Store, o.NodeID, o.Go = store, 1, start
	if l.cluster, err = Open(o); err != nil {
		return nil, errors.Join(err, l.end())
	}
	if err := store.Ready(func(string, logstore.TopicID, int32) bool { return true }); err != nil {
		return nil, errors.Join(err, l.end())
	}
	return l, nil
}

// end stops it all and waits for the goroutines.
func (l *life) end() error {
	var err error
	if l.cluster != nil {
		err = l.cluster.Close()
	}
	err = errors.Join(err, l.store.Close())
	l.running.Wait()
	return err
}

// TestOnTheRealStore: several lives, clean and not, on a real directory.
func TestOnTheRealStore(t *testing.T) {
	dir := t.TempDir()
	var want map[string]any
	id := ""
	for i := range 3 {
		l, err := begin(nil, dir, Options{SnapshotBytes: 2000})
		if err != nil {
			t.Fatal(err)
		}
		img := l.cluster.Image()
		if i > 0 && !reflect.DeepEqual(plain(img), want) {
			t.Errorf("life %d begins with %v, the one before ended with %v", i, plain(img), want)
		}
		if id != "" && img.ClusterID != id {
			t.Errorf("the cluster id was %s and is %s", id, img.ClusterID)
		}
		id = img.ClusterID
		for n := range 20 {
			name := fmt.Sprintf("t-%d-%d", i, n)
			commit(t, l.cluster, named(name), set(Resource{ResourceTopic, name}, "retention.ms", "5"))
		}
		if _, err := l.cluster.AllocateProducerIDs(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			res := Resource{ResourceTopic, "t-0-3"}
			commit(t, l.cluster, TopicRemovedRecord{ID: l.cluster.Image().Topic("t-0-3").ID})
			if m := l.cluster.Image().DynamicConfigs(res); m != nil {
				t.Errorf("a removed topic has configs %v", m)
			}
		}
		want = plain(l.cluster.Image())
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestThousandTopics on a real directory, each in a commit of its own, from a
// few goroutines, as clients make them.
func TestThousandTopics(t *testing.T) {
	l, err := begin(nil, t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 125 {
				name := fmt.Sprintf("t-%d-%d", g, n)
				if err := l.cluster.Commit(context.Background(), func(*Image) ([]Record, error) { return []Record{named(name)}, nil }); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("a thousand topics in %v", time.Since(start))
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
}

// script is lives that a power cut may end anywhere. It notes each image before
// its change is given to the log, and what was acknowledged last. Unclean
// starts are changes too; without them an image is known by its step.
type script struct {
	images map[int64]map[string]any // by step
	acked  int64
	epoch  int32
	// unclean: a life began and did not end as it should.
	unclean bool
}

// step is an image's number of changes without those of unclean starts.
func step(img *Image) int64 { return img.Version - int64(img.EpochBase) }

func content(img *Image) map[string]any {
	p := plain(img)
	delete(p, "version")
	delete(p, "epoch")
	return p
}

// run is one life: it makes the topics that are missing.
func (s *script) run(disk vfs.FS) error {
	l, err := begin(disk, "data", Options{ClusterID: "c", SnapshotBytes: 300})
	if err != nil {
		return err
	}
	s.note(l.cluster.Image())
	s.unclean = true
	for i := range 8 {
		name := fmt.Sprint("t", i)
		records := []Record{topicRecord(name, 1), set(Resource{ResourceTopic, name}, "a", "1"), set(Resource{ResourceTopic, name}, "b", "2")}
		if i == 5 {
			records = append(records, TopicRemovedRecord{ID: topicRecord("t2", 1).ID})
		}
		err := l.cluster.Commit(context.Background(), func(img *Image) ([]Record, error) {
			if img.Topic(name) != nil || img.Topic("t5") != nil && i == 2 {
				return nil, nil
			}
			d := newDraft(img)
			if err := d.apply(records); err != nil {
				return nil, err
			}
			next := d.finish()
			s.images[step(next)] = content(next)
			return records, nil
		})
		if err != nil {
			return errors.Join(err, l.end())
		}
		s.note(l.cluster.Image())
	}
	err = l.end()
	// The clean stop is there when its marker is, and only the sync of the marker's
	// name is left: a cut in it may keep the name, and the next start is a clean one.
	s.unclean = err != nil && !strings.Contains(err.Error(), "sync directory of data/logs/.kafka_cleanshutdown")
	return err
}

func (s *script) note(img *Image) {
	s.images[step(img)] = content(img)
	s.acked, s.epoch = max(s.acked, step(img)), max(s.epoch, img.EpochBase)
}

// check holds an image after a start against what is known.
func (s *script) check(img *Image) error {
	if step(img) < s.acked {
		return fmt.Errorf("step %d is back, %d was acknowledged", step(img), s.acked)
	}
	if want, ok := s.images[step(img)]; s.acked > 0 && (!ok || !reflect.DeepEqual(content(img), want)) {
		return fmt.Errorf("step %d is %v, was %v", step(img), content(img), want)
	}
	if s.unclean && img.EpochBase <= s.epoch {
		return fmt.Errorf("the epoch base is %d and was %d before the crash", img.EpochBase, s.epoch)
	}
	return nil
}

// TestPowerCuts cuts the power at every change of the disk in a life and starts
// again on what is left, where every third time the power is cut again early,
// in the midst of recovery. The image is that of an acknowledged change or of
// one after it that was under way, whole, and its epoch is new.
func TestPowerCuts(t *testing.T) {
	whole, disk := &script{images: map[int64]map[string]any{}}, vfs.NewMem()
	if err := whole.run(disk); err != nil {
		t.Fatal(err)
	}
	ops, stride := disk.Ops(), 1
	if testing.Short() {
		stride = 7
	}
	for at := 1; at <= ops; at += stride {
		rng := rand.New(rand.NewPCG(uint64(at), 3))
		disk, s := vfs.NewMem(), &script{images: map[int64]map[string]any{}}
		disk.CrashAt(at)
		cut := s.run(disk)
		disk.CutPower()
		disk = disk.Crash(rng, vfs.CrashOptions{})
		if at%3 == 0 {
			disk.CrashAt(1 + rng.IntN(40))
			cut = s.run(disk)
			disk.CutPower()
			disk = disk.Crash(rng, vfs.CrashOptions{})
		}
		l, err := begin(disk, "data", Options{ClusterID: "c"})
		if err != nil {
			t.Fatalf("cut at %d of %d (%v): the next start fails: %v", at, ops, cut, err)
		}
		img := l.cluster.Image()
		if err := s.check(img); err != nil {
			t.Fatalf("cut at %d of %d (%v): %v", at, ops, cut, err)
		}
		checkIndexes(t, img)
		if err := l.end(); err != nil {
			t.Fatalf("cut at %d: the next life cannot end: %v", at, err)
		}
	}
	t.Logf("%d places to cut at", ops)
}

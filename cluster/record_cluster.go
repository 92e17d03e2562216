package cluster

import (
	"fmt"
	"math"
)

// ClusterRecord is the first record of a cluster: its id and the node that
// keeps it.
type ClusterRecord struct {
	ID     string
	NodeID int32
}

func (ClusterRecord) recordType() int16 { return typeCluster }

func (c ClusterRecord) encode(w *writer) {
	w.string(c.ID)
	w.int(int64(c.NodeID))
}

func decodeCluster(r *reader, _ uint64) Record {
	return ClusterRecord{ID: r.string(), NodeID: int32(r.small(math.MaxInt32))}
}

func (c ClusterRecord) apply(d *draft) error {
	if c.ID == "" {
		return fmt.Errorf("a cluster id must not be empty")
	}
	if d.img.ClusterID != "" && d.img.ClusterID != c.ID {
		return fmt.Errorf("the cluster id is %s and cannot become %s", d.img.ClusterID, c.ID)
	}
	d.img.ClusterID, d.img.NodeID = c.ID, c.NodeID
	return nil
}

// EpochBumpRecord sets the number of unclean starts, which every partition's
// leader epoch includes. One record stands for all partitions.
type EpochBumpRecord struct{ Base int32 }

func (EpochBumpRecord) recordType() int16  { return typeEpochBump }
func (e EpochBumpRecord) encode(w *writer) { w.int(int64(e.Base)) }

func decodeEpochBump(r *reader, _ uint64) Record {
	return EpochBumpRecord{Base: int32(r.small(math.MaxInt32))}
}

func (e EpochBumpRecord) apply(d *draft) error {
	if e.Base < d.img.EpochBase {
		return fmt.Errorf("the epoch base is %d and cannot fall to %d", d.img.EpochBase, e.Base)
	}
	d.img.EpochBase = e.Base
	// Every partition's epoch changed with it.
	d.img.TopicsVersion = d.img.Version
	return nil
}

// FeatureRecord finalizes a feature's level; 0 takes it away.
type FeatureRecord struct {
	Name  string
	Level int16
}

func (FeatureRecord) recordType() int16 { return typeFeature }

func (f FeatureRecord) encode(w *writer) {
	w.string(f.Name)
	w.int(int64(f.Level))
}

func decodeFeature(r *reader, _ uint64) Record {
	return FeatureRecord{Name: r.string(), Level: int16(r.small(math.MaxInt16))}
}

func (f FeatureRecord) apply(d *draft) error {
	if f.Name == "" || f.Level < 0 {
		return fmt.Errorf("feature %q cannot have level %d", f.Name, f.Level)
	}
	if f.Level == 0 {
		delete(d.features(), f.Name)
	} else {
		d.features()[f.Name] = f.Level
	}
	return nil
}

// ProducerIDsRecord reserves producer ids: those below Next are never handed
// out again.
type ProducerIDsRecord struct{ Next int64 }

func (ProducerIDsRecord) recordType() int16  { return typeProducerIDs }
func (p ProducerIDsRecord) encode(w *writer) { w.int(p.Next) }

func decodeProducerIDs(r *reader, _ uint64) Record {
	return ProducerIDsRecord{Next: r.small(math.MaxInt64)}
}

func (p ProducerIDsRecord) apply(d *draft) error {
	if p.Next < d.img.nextProducerID {
		return fmt.Errorf("producer ids below %d are taken; the next cannot be %d", d.img.nextProducerID, p.Next)
	}
	d.img.nextProducerID = p.Next
	return nil
}

// snapshotRecord opens each batch of a snapshot; see snapshot.go. It is never
// given to Commit by others.
type snapshotRecord struct {
	Version int64 // of the image that the snapshot holds
	Part    int64 // from 0
	Last    bool
}

func (snapshotRecord) recordType() int16 { return typeSnapshot }

func (s snapshotRecord) encode(w *writer) {
	w.int(s.Version)
	w.int(s.Part)
	w.bool(s.Last)
}

func decodeSnapshot(r *reader, _ uint64) Record {
	return snapshotRecord{Version: r.small(math.MaxInt64), Part: r.small(math.MaxInt64), Last: r.bool()}
}

func (s snapshotRecord) apply(*draft) error {
	return fmt.Errorf("a snapshot's opening stands only at the start of a batch")
}

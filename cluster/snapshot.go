package cluster

import (
	"maps"
	"slices"
	"time"
)

// A snapshot is the whole image written into the metadata log itself, as
// batches that each open with a snapshotRecord; the last of them is marked.
// When that one is durable the log start moves up to the first one, so that
// the next Open reads the snapshot and what came after it.
//
// Kafka writes a file beside the log instead. In the log a snapshot needs no
// second way to be durable, no names to keep in order and no clean-up: the
// journal, its recovery and the checksums that every change relies on hold for
// it too. The price is that no change may come between its batches, so the
// commit lock is held while they are encoded and appended: a few milliseconds
// at ten thousand topics, and no wait for the disk.
//
// A crash between the parts leaves a snapshot without its last part, which
// replay drops; a crash between the last part and the trim leaves both the old
// log and the snapshot, which say the same.

// snapshotPart is the size from which a part is closed.
const snapshotPart = 512 << 10

// snapshot appends head. mu is held.
func (c *Cluster) snapshot() error {
	base := c.log.Offsets().LogEnd
	before := c.since
	head := snapshotRecord{Version: c.head.Version}
	records := []Record{head}
	size := 0
	flush := func() error {
		records[0] = head
		batch, err := encodeBatch(records, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		p := &pending{c: c, trim: -1, ready: make(chan struct{})}
		if head.Last {
			p.trim = base
		}
		if err := c.append(p, batch); err != nil {
			return err
		}
		head.Part++
		records, size = records[:1], 0
		return nil
	}
	var scratch []byte
	for _, r := range c.head.records() {
		records = append(records, r)
		scratch = appendRecord(scratch[:0], r)
		if size += len(scratch); size >= snapshotPart {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	head.Last = true
	if err := flush(); err != nil {
		return err
	}
	c.size, c.since = c.since-before, 0
	return nil
}

// trim moves the log start to a snapshot that is durable. The publisher calls
// it; the work waits for the disk and so runs elsewhere. A trim that fails or
// is overtaken costs space and a longer start, no more.
func (c *Cluster) trim(before int64) {
	c.trims.Add(1)
	c.start("cluster metadata trim", func() {
		defer c.trims.Done()
		if _, err := c.log.DeleteRecords(before); err != nil {
			c.logger.Warn("the metadata log could not be trimmed after a snapshot", "before", before, "error", err)
		}
	})
}

// records is the image as the records that make it from nothing, in an order
// that apply accepts and that is the same each time.
func (i *Image) records() []Record {
	list := make([]Record, 0, 16+len(i.ordered)+i.configs.n+len(i.ACLs))
	list = append(list, ClusterRecord{ID: i.ClusterID, NodeID: i.NodeID}, EpochBumpRecord{Base: i.EpochBase},
		ProducerIDsRecord{Next: i.nextProducerID})
	for _, name := range slices.Sorted(maps.Keys(i.Features)) {
		list = append(list, FeatureRecord{Name: name, Level: i.Features[name]})
	}
	for _, t := range i.ordered {
		list = append(list, TopicRecord{Name: t.Name, ID: t.ID, Partitions: t.Partitions, Internal: t.Internal, Epochs: t.Epochs})
	}
	for _, t := range []ResourceType{ResourceTopic, ResourceBroker, ResourceBrokerLogger, ResourceClientMetrics, ResourceGroup, ResourceAdministrators} {
		for _, name := range i.Resources(t) {
			res := Resource{t, name}
			m := i.DynamicConfigs(res)
			for _, key := range slices.Sorted(maps.Keys(m)) {
				list = append(list, ConfigRecord{Resource: res, Key: key, Value: m[key]})
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(i.Scram), compareScramKey) {
		list = append(list, ScramRecord{Key: k, Credential: i.Scram[k]})
	}
	for _, a := range i.ACLs {
		list = append(list, ACLRecord{ACL: a})
	}
	for _, e := range slices.SortedFunc(maps.Keys(i.Quotas), compareQuotaEntity) {
		m := i.Quotas[e]
		for _, key := range slices.Sorted(maps.Keys(m)) {
			list = append(list, QuotaRecord{Entity: e, Key: key, Value: m[key]})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(i.Tokens)) {
		list = append(list, TokenRecord{Token: i.Tokens[id]})
	}
	return list
}

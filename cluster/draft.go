package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/chronik-stream/chronik/logstore"
)

// draft is the next image while records are applied to it. It starts as a
// shallow copy and copies each part when that is first written to, so that a
// commit of a thousand records copies each part once.
type draft struct {
	img     Image
	topics  shardedEdit[string, *Topic]
	byID    shardedEdit[logstore.TopicID, *Topic]
	folded  shardedEdit[string, string]
	configs shardedEdit[Resource, map[string]string]

	ownOrdered, ownFeatures, ownScram, ownACLs, ownQuotas, ownTokens bool
}

func newDraft(from *Image) *draft {
	d := &draft{img: *from}
	d.img.Version++
	d.topics.now, d.byID.now, d.folded.now, d.configs.now = from.topics, from.byID, from.folded, from.configs
	return d
}

// finish gives the image; the draft must not be used any more.
func (d *draft) finish() *Image {
	d.img.topics, d.img.byID, d.img.folded, d.img.configs = d.topics.now, d.byID.now, d.folded.now, d.configs.now
	return &d.img
}

func (d *draft) topic(name string) *Topic {
	t, _ := d.topics.now.get(shardOf(name), name)
	return t
}

func (d *draft) topicByID(id logstore.TopicID) *Topic {
	t, _ := d.byID.now.get(id[0]^id[15], id)
	return t
}

// own copies the ordered list once. A copy of ten thousand pointers is one
// memmove of 80 KB, a few microseconds: less than any cleverer list costs those
// who walk it.
func (d *draft) own() {
	if !d.ownOrdered {
		list := make([]*Topic, len(d.img.ordered), len(d.img.ordered)+len(d.img.ordered)/64+1)
		copy(list, d.img.ordered)
		d.img.ordered, d.ownOrdered = list, true
	}
	d.img.TopicsVersion = d.img.Version
}

// putTopic adds a topic or replaces the one of the same name and id.
func (d *draft) putTopic(t *Topic) {
	d.own()
	at, found := findTopic(d.img.ordered, t.Name)
	if found {
		d.img.partitions -= int(d.img.ordered[at].Partitions)
		d.img.ordered[at] = t
	} else {
		d.img.ordered = slices.Insert(d.img.ordered, at, t)
	}
	d.img.partitions += int(t.Partitions)
	d.topics.set(shardOf(t.Name), t.Name, t)
	d.byID.set(t.ID[0]^t.ID[15], t.ID, t)
	if fold, foldable := foldName(t.Name); foldable {
		d.folded.set(shardOf(fold), fold, t.Name)
	}
}

func (d *draft) removeTopic(t *Topic) {
	d.own()
	if at, found := findTopic(d.img.ordered, t.Name); found {
		d.img.ordered = slices.Delete(d.img.ordered, at, at+1)
	}
	d.img.partitions -= int(t.Partitions)
	d.topics.remove(shardOf(t.Name), t.Name)
	d.byID.remove(t.ID[0]^t.ID[15], t.ID)
	if fold, foldable := foldName(t.Name); foldable {
		if name, _ := d.folded.now.get(shardOf(fold), fold); name == t.Name {
			d.folded.remove(shardOf(fold), fold)
		}
	}
	d.setConfigs(Resource{ResourceTopic, t.Name}, nil)
}

// setConfigs replaces a resource's dynamic configs; m is kept.
func (d *draft) setConfigs(res Resource, m map[string]string) {
	shard := shardOf(res.Name)
	if len(m) == 0 {
		if _, ok := d.configs.now.get(shard, res); !ok {
			return
		}
		d.configs.remove(shard, res)
	} else {
		d.configs.set(shard, res, m)
	}
	d.img.ConfigsVersion = d.img.Version
}

func (d *draft) features() map[string]int16 {
	d.img.FeaturesVersion = d.img.Version
	return ownMap(&d.img.Features, &d.ownFeatures)
}

func (d *draft) scram() map[ScramKey]ScramCredential {
	d.img.ScramVersion = d.img.Version
	return ownMap(&d.img.Scram, &d.ownScram)
}

func (d *draft) quotas() map[QuotaEntity]map[string]float64 {
	d.img.QuotasVersion = d.img.Version
	return ownMap(&d.img.Quotas, &d.ownQuotas)
}

func (d *draft) tokens() map[string]Token {
	d.img.TokensVersion = d.img.Version
	return ownMap(&d.img.Tokens, &d.ownTokens)
}

func (d *draft) acls() {
	d.img.ACLsVersion = d.img.Version
	if !d.ownACLs {
		d.img.ACLs, d.ownACLs = slices.Clone(d.img.ACLs), true
	}
}

func ownMap[K comparable, V any](m *map[K]V, own *bool) map[K]V {
	if !*own {
		c := make(map[K]V, len(*m)+1)
		maps.Copy(c, *m)
		*m, *own = c, true
	}
	return *m
}

// apply applies records in order. An error names the record that does not fit;
// the draft is then to be thrown away.
func (d *draft) apply(records []Record) error {
	for i, r := range records {
		if r == nil {
			return fmt.Errorf("cluster: record %d of the change is nil", i)
		}
		if err := r.apply(d); err != nil {
			return fmt.Errorf("cluster: record %d of the change does not fit the metadata: %w", i, err)
		}
	}
	return nil
}

// stamp marks every part as changed now; what was cached from another life of
// the process must not look current.
func (i *Image) stamp() {
	v := i.Version
	i.TopicsVersion, i.ConfigsVersion, i.FeaturesVersion = v, v, v
	i.ScramVersion, i.ACLsVersion, i.QuotasVersion, i.TokensVersion = v, v, v, v
}

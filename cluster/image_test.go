package cluster

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chronik-stream/chronik/logstore"
)

// plain is an image as maps that can be compared.
func plain(i *Image) map[string]any {
	topics, configs := map[string]Topic{}, map[Resource]map[string]string{}
	for _, t := range i.Topics() {
		topics[t.Name] = *t
	}
	i.configs.each(func(r Resource, m map[string]string) { configs[r] = m })
	none := func(m any, n int) any {
		if n == 0 {
			return nil
		}
		return m
	}
	return map[string]any{
		"version": i.Version, "cluster": i.ClusterID, "node": i.NodeID, "epoch": i.EpochBase, "ids": i.nextProducerID,
		"topics": topics, "partitions": i.partitions, "configs": configs,
		"features": none(i.Features, len(i.Features)), "scram": none(i.Scram, len(i.Scram)), "acls": none(i.ACLs, len(i.ACLs)),
		"quotas": none(i.Quotas, len(i.Quotas)), "tokens": none(i.Tokens, len(i.Tokens)),
	}
}

// checkIndexes holds an image's ways to a topic against each other.
func checkIndexes(t interface{ Errorf(string, ...any) }, i *Image) {
	partitions := 0
	if !slices.IsSortedFunc(i.ordered, func(a, b *Topic) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) && len(i.ordered) > 1 {
		t.Errorf("the topics are not in order")
	}
	for _, topic := range i.ordered {
		partitions += int(topic.Partitions)
		if i.Topic(topic.Name) != topic || i.TopicBytes([]byte(topic.Name)) != topic || i.TopicByID(topic.ID) != topic {
			t.Errorf("topic %s is not found by each of its names", topic.Name)
		}
	}
	if i.topics.n != len(i.ordered) || i.byID.n != len(i.ordered) || i.partitions != partitions {
		t.Errorf("%d topics by name, %d by id, %d in the list; %d partitions, counted %d", i.topics.n, i.byID.n, len(i.ordered), i.partitions, partitions)
	}
	n := 0
	i.topics.each(func(string, *Topic) { n++ })
	if n != len(i.ordered) {
		t.Errorf("the shards hold %d topics, the list %d", n, len(i.ordered))
	}
}

// TestImageModel applies random changes and holds the image against plain maps,
// and every older image against what it was.
func TestImageModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type topic struct {
			id         logstore.TopicID
			partitions int32
		}
		model, configs := map[string]topic{}, map[string]map[string]string{}
		img := &Image{}
		type past struct {
			img  *Image
			want map[string]any
		}
		var history []past
		names := rapid.SampledFrom([]string{"a", "b", "a.b", "a_b", "c", "zz-9"})
		var nextID byte
		for range rapid.IntRange(1, 25).Draw(t, "changes") {
			var records []Record
			good := true
			for range rapid.IntRange(1, 3).Draw(t, "records") {
				name := names.Draw(t, "name")
				old, exists := model[name]
				if !good {
					break
				}
				switch rapid.IntRange(0, 4).Draw(t, "kind") {
				case 0:
					nextID++
					id := logstore.TopicID{nextID, 1}
					records = append(records, TopicRecord{Name: name, ID: id, Partitions: 2})
					if good = !exists; good {
						model[name] = topic{id, 2}
					}
				case 1:
					if exists {
						records = append(records, TopicRemovedRecord{ID: old.id})
						delete(model, name)
						delete(configs, name)
					}
				case 2:
					if exists {
						old.partitions++
						records = append(records, PartitionsRecord{ID: old.id, Count: old.partitions})
						model[name] = old
					}
				case 3, 4:
					key := rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key")
					remove := rapid.Bool().Draw(t, "delete")
					if exists {
						records = append(records, ConfigRecord{Resource: Resource{ResourceTopic, name}, Key: key, Value: "v" + fmt.Sprint(nextID), Delete: remove})
						m := configs[name]
						if m == nil {
							m = map[string]string{}
							configs[name] = m
						}
						if remove {
							delete(m, key)
						} else {
							m[key] = "v" + fmt.Sprint(nextID)
						}
						if len(m) == 0 {
							delete(configs, name)
						}
					}
				}
			}
			d := newDraft(img)
			if err := d.apply(records); (err == nil) != good {
				t.Fatalf("%+v: %v, want good %v", records, err, good)
			}
			if !good {
				// The model has the part before; so had the draft. Start over.
				return
			}
			img = d.finish()
			history = append(history, past{img, plain(img)})
		}
		if len(img.Topics()) != len(model) {
			t.Fatalf("%d topics, want %d", len(img.Topics()), len(model))
		}
		for name, want := range model {
			got := img.Topic(name)
			if got == nil || got.ID != want.id || got.Partitions != want.partitions {
				t.Fatalf("topic %s is %+v, want %+v", name, got, want)
			}
			if got := img.DynamicConfigs(Resource{ResourceTopic, name}); len(got)+len(configs[name]) > 0 && !reflect.DeepEqual(got, configs[name]) {
				t.Fatalf("configs of %s are %v, want %v", name, got, configs[name])
			}
		}
		checkIndexes(t, img)
		for i, p := range history {
			if got := plain(p.img); !reflect.DeepEqual(got, p.want) {
				t.Fatalf("image %d changed afterwards: %v, was %v", i, got, p.want)
			}
		}
		// The image and the records of its snapshot say the same.
		d := newDraft(&Image{Version: img.Version - 1})
		if err := d.apply(append([]Record{ClusterRecord{ID: "c"}}, img.records()[1:]...)); err != nil {
			t.Fatal(err)
		}
		again := d.finish()
		again.ClusterID = img.ClusterID
		if got, want := plain(again), plain(img); !reflect.DeepEqual(got, want) {
			t.Fatalf("from its records the image is %v, was %v", got, want)
		}
		checkIndexes(t, again)
	})
}

func TestSecurityRecords(t *testing.T) {
	acl := func(op int8) ACL {
		return ACL{ResourceType: 2, ResourceName: "t", PatternType: 3, Principal: "User:u", Host: "*", Operation: op, Permission: 3}
	}
	user := QuotaEntity{User: QuotaPart{Set: true, Name: "u"}}
	before := image(t,
		ACLRecord{acl(4)}, ACLRecord{acl(3)}, ACLRecord{acl(4)},
		ScramRecord{Key: ScramKey{"u", 1}, Credential: ScramCredential{Iterations: 4096}},
		QuotaRecord{Entity: user, Key: "producer_byte_rate", Value: 1}, QuotaRecord{Entity: user, Key: "consumer_byte_rate", Value: 2},
		TokenRecord{Token{ID: "a", ExpiryMs: 1}}, TokenRecord{Token{ID: "a", ExpiryMs: 2}},
	)
	if len(before.ACLs) != 2 || before.ACLs[0] != acl(3) || before.ACLs[1] != acl(4) {
		t.Errorf("the ACLs are %v", before.ACLs)
	}
	if len(before.Quotas[user]) != 2 || before.Tokens["a"].ExpiryMs != 2 {
		t.Errorf("%v, %v", before.Quotas, before.Tokens)
	}
	d := newDraft(before)
	if err := d.apply([]Record{
		ACLRemovedRecord{acl(3)}, ScramRemovedRecord{ScramKey{"u", 1}}, TokenRemovedRecord{"a"},
		QuotaRecord{Entity: user, Key: "producer_byte_rate", Delete: true}, QuotaRecord{Entity: user, Key: "consumer_byte_rate", Delete: true},
	}); err != nil {
		t.Fatal(err)
	}
	after := d.finish()
	if len(after.ACLs) != 1 || len(after.Scram) != 0 || len(after.Quotas) != 0 || len(after.Tokens) != 0 {
		t.Errorf("left are %v %v %v %v", after.ACLs, after.Scram, after.Quotas, after.Tokens)
	}
	if len(before.ACLs) != 2 || before.ACLs[0] != acl(3) || before.ACLs[1] != acl(4) || len(before.Scram) != 1 || len(before.Quotas) != 1 || len(before.Tokens) != 1 {
		t.Error("the image before changed too")
	}
	if after.ACLsVersion != after.Version || after.TopicsVersion == after.Version {
		t.Errorf("at version %d the ACLs are of %d, the topics of %d", after.Version, after.ACLsVersion, after.TopicsVersion)
	}
}

// TestRefusedRecords is every record that does not fit.
func TestRefusedRecords(t *testing.T) {
	base := image(t, topicRecord("t", 2), ClusterRecord{ID: "c"}, EpochBumpRecord{Base: 2}, ProducerIDsRecord{Next: 10})
	id := base.Topic("t").ID
	for _, r := range []Record{
		nil,
		topicRecord("t", 1), TopicRecord{Name: "u", ID: id, Partitions: 1}, TopicRecord{Name: "u", Partitions: 1},
		TopicRecord{Name: "../x", ID: testID, Partitions: 1}, TopicRecord{Name: "u", ID: testID}, TopicRecord{Name: "u", ID: testID, Partitions: 1, Epochs: []int32{1, 2}},
		TopicRemovedRecord{ID: testID}, PartitionsRecord{ID: testID, Count: 9}, PartitionsRecord{ID: id, Count: 2}, PartitionsRecord{ID: id, Count: 1},
		PartitionEpochRecord{ID: id, Partition: 2, Epoch: 1}, PartitionEpochRecord{ID: testID, Epoch: 1}, PartitionEpochRecord{ID: id, Partition: -1, Epoch: 1}, PartitionEpochRecord{ID: id, Epoch: -1},
		ConfigRecord{Resource: Resource{ResourceTopic, "nope"}, Key: "k"}, ConfigRecord{Resource: Resource{ResourceTopic, "t"}},
		ClusterRecord{}, ClusterRecord{ID: "d"}, EpochBumpRecord{Base: 1}, ProducerIDsRecord{Next: 9}, FeatureRecord{}, FeatureRecord{Name: "f", Level: -1},
		ScramRecord{Key: ScramKey{"", 1}}, ScramRecord{Key: ScramKey{"u", 3}}, ScramRemovedRecord{ScramKey{"u", 1}}, ACLRemovedRecord{}, QuotaRecord{Key: "k"}, TokenRecord{}, TokenRemovedRecord{"x"},
		snapshotRecord{},
	} {
		if err := newDraft(base).apply([]Record{r}); err == nil {
			t.Errorf("%T %+v was taken", r, r)
		}
	}
}

func TestCollision(t *testing.T) {
	img := image(t, topicRecord("a.b_c", 1), topicRecord("plain", 1))
	for name, want := range map[string]string{"a.b.c": "a.b_c", "a_b_c": "a.b_c", "a.b_c": "", "plain": "", "p.lain": ""} {
		if got := img.Collision(name); got != want {
			t.Errorf("%s collides with %q, want %q", name, got, want)
		}
	}
	d := newDraft(img)
	if err := d.apply([]Record{TopicRemovedRecord{ID: img.Topic("a.b_c").ID}}); err != nil {
		t.Fatal(err)
	}
	if got := d.finish().Collision("a.b.c"); got != "" {
		t.Errorf("collides with the removed %q", got)
	}
}

func TestEpochs(t *testing.T) {
	img := image(t, topicRecord("t", 3), EpochBumpRecord{Base: 4})
	topic := img.Topic("t")
	if e := img.Epoch(topic, 2); e != 4 {
		t.Errorf("epoch %d, want 4", e)
	}
	d := newDraft(img)
	if err := d.apply([]Record{PartitionEpochRecord{ID: topic.ID, Partition: 1, Epoch: 7}}); err != nil {
		t.Fatal(err)
	}
	next := d.finish()
	for p, want := range []int32{4, 11, 4} {
		if e := next.Epoch(next.Topic("t"), int32(p)); e != want {
			t.Errorf("partition %d has epoch %d, want %d", p, e, want)
		}
	}
	if e := img.Epoch(topic, 1); e != 4 {
		t.Errorf("the old image has epoch %d", e)
	}
}

func TestTopicIDs(t *testing.T) {
	seen := map[logstore.TopicID]bool{}
	for range 1000 {
		id := NewTopicID()
		if s := TopicIDString(id); seen[id] || len(s) != 22 || s[0] == '-' || id[6]>>4 != 4 || id[8]>>6 != 2 {
			t.Fatalf("id %s", s)
		}
		seen[id] = true
	}
}

func TestTopicLookupAllocatesNothing(t *testing.T) {
	img := image(t, topicRecord("some-topic", 1))
	name, id := []byte("some-topic"), img.Topic("some-topic").ID
	if n := testing.AllocsPerRun(100, func() {
		if img.TopicBytes(name) == nil || img.TopicByID(id) == nil {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func tenThousand(tb testing.TB) *Image {
	records := make([]Record, 10_000)
	for i := range records {
		id := logstore.TopicID{byte(i), byte(i >> 8), 1}
		records[i] = TopicRecord{Name: fmt.Sprintf("topic-%05d", i), ID: id, Partitions: 1}
	}
	return image(tb, records...)
}

// BenchmarkChange makes one change to ten thousand topics.
func BenchmarkChange(b *testing.B) {
	img := tenThousand(b)
	id := img.Topic("topic-05000").ID
	for name, r := range map[string]Record{
		"create": TopicRecord{Name: "topic-05000x", ID: testID, Partitions: 1},
		"config": set(Resource{ResourceTopic, "topic-05000"}, "retention.ms", "1"),
		"grow":   PartitionsRecord{ID: id, Count: 2},
		"delete": TopicRemovedRecord{ID: id},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := newDraft(img)
				if err := d.apply([]Record{r}); err != nil {
					b.Fatal(err)
				}
				d.finish()
			}
		})
	}
}

package broker

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec/compress"
)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// fill gives a request's fields values that name what mallory may not touch;
// texts without a meaning of their own become name.
func fill(v reflect.Value, field, name string, id [16]byte) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.String || v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), field, name, id)
		}
	case reflect.Struct:
		if m := v.Addr().MethodByName("Default"); m.IsValid() {
			m.Call(nil)
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i).Name; f != "Version" && f != "UnknownTags" && v.Field(i).CanSet() {
				fill(v.Field(i), f, name, id)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), field, name, id)
	case reflect.Array:
		if v.Len() == 16 && v.Type().Elem().Kind() == reflect.Uint8 {
			v.Set(reflect.ValueOf(id).Convert(v.Type()))
		}
	case reflect.String:
		switch {
		case strings.Contains(field, "Principal"):
			v.SetString("User:victim")
		case strings.Contains(field, "Host"):
			v.SetString("*")
		case field == "EntityType" || field == "Type":
			v.SetString("user")
		case field == "Key":
			v.SetString("producer_byte_rate")
		default:
			v.SetString(name)
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := map[string]int64{"ResourceType": 2, "ResourcePatternType": 3, "Operation": 3, "PermissionType": 3,
			"Mechanism": 1, "Iterations": 4096, "Count": 9, "NumPartitions": 1, "ReplicationFactor": 1, "Acks": -1, "ReplicaID": -1,
			"SessionID": 0, "SessionEpoch": -1, "CurrentLeaderEpoch": -1, "LastFetchedEpoch": -1, "MaxBytes": 1 << 20}[field]
		v.SetInt(n)
	}
}

// codes collects every error code of an answer.
func codes(v reflect.Value, into *[]int16) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			codes(v.Elem(), into)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if strings.HasSuffix(v.Type().Field(i).Name, "ErrorCode") {
				*into = append(*into, int16(v.Field(i).Int()))
			} else {
				codes(v.Field(i), into)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			codes(v.Index(i), into)
		}
	}
}

// silent are the APIs that leave out what may not be seen, or refuse for
// another reason before anybody is asked, as Kafka does.
// until is the last such version.
var silent = map[int16]struct {
	until int16
	why   string
}{
	keyListGroups:              {99, "lists nothing"},
	keyListTransactions:        {99, "lists nothing"},
	keyDescribeCluster:         {99, "for everybody; authorized operations are 0"},
	keyDescribeLogDirs:         {2, "no error field yet, lists nothing"},
	keyCreateDelegationToken:   {2, "one's own token, refused for its renewer"},
	keyRenewDelegationToken:    {99, "for owner and renewers"},
	keyExpireDelegationToken:   {99, "for owner and renewers"},
	keyDescribeDelegationToken: {99, "lists nothing"},
}

// refusals are Kafka's codes of a denial by what is asked first (registry).
var refusals = map[auth.ResourceType]int16{
	auth.ResTopic: errTopicAuthorization, auth.ResGroup: errGroupAuthorization, auth.ResCluster: errClusterAuthorization,
	auth.ResTxnID: errTransactionalAuthorization, auth.ResUser: errTokenAuthorization,
}

// otherwise are the APIs whose denial names something else than what is asked
// first, from which version on.
var otherwise = map[int16]struct {
	from int16
	code int16
	why  string
}{
	keyCreateTopics:       {0, errTopicAuthorization, "CREATE on the topic would do as well, and is what is told"},
	keyAddPartitionsToTxn: {4, errClusterAuthorization, "is for brokers from v4 on"},
	keyInitProducerID:     {0, errTransactionalAuthorization, "with a transactional id that is what counts"},
}

// denied asks an API for what mallory may not, and gives the error codes.
func (w *wire) denied(a *api, v int16, name string, id [16]byte) (kmsg.Response, []int16) {
	w.t.Helper()
	req := kmsg.RequestForKey(a.key)
	fill(reflect.ValueOf(req).Elem(), "", name, id)
	req.SetVersion(v)
	var got []int16
	resp := w.answer(req, w.send(req))
	codes(reflect.ValueOf(resp), &got)
	return resp, got
}

// TestDenied walks the registry with a principal that no ACL names: every API
// in every version answers with the authorization error of what it asks first,
// in some field, and with no other error but none, or with silence. What is
// there is answered as what is not. Nothing is changed.
func TestDenied(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_mallory="pw";`
		o.Static["delegation.token.secret.key"] = "k"
	})
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(within(t), 1, 1, nil, "secret"); err != nil {
		t.Fatal(err)
	}
	producer := client(t, b, asAdmin())
	if err := producer.ProduceSync(within(t), &kgo.Record{Topic: "secret", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if resp := adm.CommitAllOffsets(within(t), "secret", kadm.OffsetsFromRecords(kgo.Record{Topic: "secret"})); resp != nil {
		t.Fatal(resp)
	}
	id := b.cluster.Image().Topic("secret").ID
	// Transactions have their topic too, so that what one writes would be seen.
	transactional := client(t, b, asAdmin(), kgo.TransactionalID("secret"), kgo.DefaultProduceTopic("secret"))
	if err := transactional.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := transactional.ProduceSync(within(t), &kgo.Record{Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := transactional.EndTransaction(within(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the transaction's markers are written", func() bool { // after its answer
		described, err := adm.DescribeTransactions(within(t), "secret")
		return err == nil && described["secret"].State == "CompleteCommit"
	})
	before, ends := b.cluster.Image().Version, logEnds(t, b)
	w := dial(t, b)
	if resp := w.login("mallory", "pw"); resp.ErrorCode != errNone {
		t.Fatalf("login: %+v", resp)
	}
	for _, a := range b.apis.list {
		if a.open {
			continue
		}
		for v := a.min; v <= a.max; v++ {
			as := id
			if a.key == keyMetadata && v < 12 || a.key == keyDeleteTopics {
				as = [16]byte{} // by name
			}
			resp, got := w.denied(a, v, "secret", as)
			want := refusals[a.resource]
			if o, ok := otherwise[a.key]; ok && v >= o.from {
				want = o.code
			}
			if s, ok := silent[a.key]; ok && v <= s.until {
				if slices.Contains(got, errUnknownServer) {
					t.Errorf("%s v%d (%s): %v", a.name, v, s.why, got)
				}
			} else if other := slices.IndexFunc(got, func(c int16) bool { return c != want && c != errNone }); !slices.Contains(got, want) || other >= 0 {
				t.Errorf("%s v%d: codes %v, want %d and no other: %+v", a.name, v, got, want, resp)
			}
			absent, _ := w.denied(a, v, "absent", as)
			if there, not := strings.ReplaceAll(dump(t, resp), "secret", "absent"), dump(t, absent); there != not {
				t.Errorf("%s v%d tells what is there: %s, and what is not: %s", a.name, v, there, not)
			}
		}
	}
	if now := b.cluster.Image().Version; now != before {
		t.Errorf("the metadata has changed: version %d, was %d", now, before)
	}
	if now := logEnds(t, b); !maps.Equal(now, ends) {
		for p, at := range now {
			if at != ends[p] {
				t.Errorf("the log of %s has changed: %v, was %v", p, at, ends[p])
			}
		}
	}
}

// logEnds are the offsets at which the logs of all partitions start and end,
// those of groups and transactions too.
func logEnds(t *testing.T, b *Broker) map[string][2]int64 {
	t.Helper()
	ends := map[string][2]int64{}
	for _, topic := range b.cluster.Image().Topics() {
		for p := range topic.Partitions {
			o := b.Log(topic.Name, p).Offsets()
			ends[fmt.Sprintf("%s-%d", topic.Name, p)] = [2]int64{o.LogStart, o.LogEnd}
		}
	}
	for _, internal := range []string{"secret-0", "__consumer_offsets-0", "__transaction_state-0"} {
		if _, ok := ends[internal]; !ok {
			t.Errorf("there is no partition %s to look at", internal)
		}
	}
	return ends
}

// dump is an answer as text, pointers followed.
func dump(t *testing.T, resp kmsg.Response) string {
	t.Helper()
	text, err := json.Marshal(resp)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDeniedTransactionalID: a transactional id is asked for when a batch is
// transactional, and only then.
func TestDeniedTransactionalID(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_mallory="pw";`
	})
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	allow := kadm.NewACLs().Topics("t").ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:mallory").AllowHosts("*").Operations(kadm.OpWrite)
	if made, err := adm.CreateACLs(within(t), allow); err != nil || made[0].Err != nil {
		t.Fatal(err, made)
	}
	w := dial(t, b)
	if resp := w.login("mallory", "pw"); resp.ErrorCode != errNone {
		t.Fatalf("login: %+v", resp)
	}
	for _, transactional := range []bool{false, true} {
		records, want := batchOf(t, compress.None, 1), errNone
		if transactional {
			records[22] |= 0x10 // an attribute
			want = errTransactionalAuthorization
		}
		req := produceOf(9, "t", [16]byte{}, -1, records)
		req.TransactionID = kmsg.StringPtr("hers")
		if got := ask[*kmsg.ProduceResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("transactional %v: %d, want %d", transactional, got, want)
		}
	}
}

// TestDeniedTopics: who may do everything with groups and transactional ids still
// needs the topics that a request names, and has nothing done without.
func TestDeniedTopics(t *testing.T) {
	b := secured(t, func(o *Options) {
		o.Static["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = auth.PlainLoginModule + ` required user_mallory="pw";`
	})
	adm := kadm.NewClient(client(t, b, asAdmin()))
	if _, err := adm.CreateTopics(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	allow := kadm.NewACLs().Groups("*").TransactionalIDs("*").ResourcePatternType(kadm.ACLPatternLiteral).
		Allow("User:mallory").AllowHosts("*").Operations(kadm.OpAll)
	if made, err := adm.CreateACLs(within(t), allow); err != nil || made[0].Err != nil || len(made) != 2 {
		t.Fatal(err, made)
	}
	held := make(kadm.Offsets)
	held.AddOffset("t", 0, 5, -1)
	if err := adm.CommitAllOffsets(within(t), "g", held); err != nil {
		t.Fatal(err)
	}
	w := dial(t, b)
	if resp := w.login("mallory", "pw"); resp.ErrorCode != errNone {
		t.Fatalf("login: %+v", resp)
	}
	for v := int16(1); v <= 9; v++ {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation = v, "g", -1
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Offset = 9
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{part}}}
		if got := ask[*kmsg.OffsetCommitResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != errTopicAuthorization {
			t.Errorf("OffsetCommit v%d: %d", v, got)
		}
	}
	for v := int16(0); v <= 4; v++ {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Version, req.Group, req.TransactionalID, req.Generation = v, "g", "hers", -1
		part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		part.Offset = 9
		req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{part}}}
		if got := ask[*kmsg.TxnOffsetCommitResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != errTopicAuthorization {
			t.Errorf("TxnOffsetCommit v%d: %d", v, got)
		}
	}
	for v := int16(0); v <= 3; v++ {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version, req.TransactionalID = v, "hers"
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		if got := ask[*kmsg.AddPartitionsToTxnResponse](w, req).Topics[0].Partitions[0].ErrorCode; got != errTopicAuthorization {
			t.Errorf("AddPartitionsToTxn v%d: %d", v, got)
		}
	}
	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "g"
	del.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
	if got := ask[*kmsg.OffsetDeleteResponse](w, del).Topics[0].Partitions[0].ErrorCode; got != errTopicAuthorization {
		t.Errorf("OffsetDelete: %d", got)
	}
	for v := int16(1); v <= 8; v++ {
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version = v
		if v < 8 {
			fetch.Group = "g"
			if v < 2 {
				fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
			}
		} else {
			fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g"}}
		}
		resp := ask[*kmsg.OffsetFetchResponse](w, fetch)
		if text := dump(t, resp); strings.Contains(text, `"Offset":5`) {
			t.Errorf("OffsetFetch v%d shows an offset of a topic that may not be seen: %s", v, text)
		}
	}
	offsets, err := adm.FetchOffsets(within(t), "g")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup("t", 0); !ok || o.At != 5 {
		t.Errorf("the group's offset is %+v now", o)
	}
}

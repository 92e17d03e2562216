package broker

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/codec/record"
)

// txnClient is a transactional producer on the wire, for what no client does.
type txnClient struct {
	*wire
	id    string
	pid   int64
	epoch int16
}

// beginTxn gets a producer id for a transactional id.
func beginTxn(t testing.TB, b *Broker, id string) *txnClient {
	t.Helper()
	c := &txnClient{wire: dial(t, b), id: id}
	eventually(t, "InitProducerId", func() bool {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 5, &id, 60000
		resp := ask[*kmsg.InitProducerIDResponse](c.wire, req)
		c.pid, c.epoch = resp.ProducerID, resp.ProducerEpoch
		return resp.ErrorCode == errNone
	})
	return c
}

// batch is one record of a producer.
func (c *txnClient) batch(pid int64, epoch int16, seq int32, transactional bool) []byte {
	c.t.Helper()
	o := record.DefaultBuilderOptions()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = pid, epoch, seq, transactional
	bld := record.NewBuilder(nil, o)
	bld.Append(1_700_000_000_000, nil, []byte("v"))
	raw, err := bld.Finish()
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// produce sends batches to partitions 0, 1 … of topic t and gives their codes.
func (c *txnClient) produce(version int16, topicID [16]byte, id *string, batches ...[]byte) []int16 {
	c.t.Helper()
	req := produceOf(version, "t", topicID, -1, nil)
	req.TransactionID = id
	req.Topics[0].Partitions = nil
	for i, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), b
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	var codes []int16
	for _, p := range ask[*kmsg.ProduceResponse](c.wire, req).Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	return codes
}

func (c *txnClient) end(version int16, commit bool) *kmsg.EndTxnResponse {
	c.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = version, c.id, c.pid, c.epoch, commit
	return ask[*kmsg.EndTxnResponse](c.wire, req)
}

func (c *txnClient) add(topic string, partition int32) int16 {
	c.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, c.id, c.pid, c.epoch
	top := kmsg.NewAddPartitionsToTxnRequestTopic()
	top.Topic, top.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, top)
	return ask[*kmsg.AddPartitionsToTxnResponse](c.wire, req).Topics[0].Partitions[0].ErrorCode
}

// state waits for a state of the transaction.
func (c *txnClient) state(want string) {
	c.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{c.id}
	eventually(c.t, "the state "+want, func() bool {
		return ask[*kmsg.DescribeTransactionsResponse](c.wire, req).TransactionStates[0].State == want
	})
}

// producer is what DescribeProducers tells of the client on partition 0 of t.
func (c *txnClient) producer() kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
	c.t.Helper()
	req := kmsg.NewPtrDescribeProducersRequest()
	top := kmsg.NewDescribeProducersRequestTopic()
	top.Topic, top.Partitions = "t", []int32{0}
	req.Topics = append(req.Topics, top)
	for _, p := range ask[*kmsg.DescribeProducersResponse](c.wire, req).Topics[0].Partitions[0].ActiveProducers {
		if p.ProducerID == c.pid {
			return p
		}
	}
	c.t.Fatalf("producer %d is not told", c.pid)
	return kmsg.DescribeProducersResponseTopicPartitionActiveProducer{}
}

// TestTransactionV2 walks a client of transaction version 2: the broker adds
// the partition, the end bumps the epoch, a batch that comes late is fenced.
func TestTransactionV2(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 2, nil)
	c := beginTxn(t, b, "v2")
	if got := c.produce(12, id, &c.id, c.batch(c.pid, c.epoch, 0, true)); got[0] != errNone {
		t.Fatalf("the first batch: %d", got[0])
	}
	if p := c.producer(); p.CurrentTxnStartOffset != 0 || p.ProducerEpoch != int32(c.epoch) || p.CoordinatorEpoch != -1 {
		t.Errorf("open: %+v", p)
	}
	if got := c.produce(12, id, &c.id, c.batch(c.pid, c.epoch, 1, false)); got[0] != errInvalidTxnState {
		t.Errorf("a batch outside the open transaction: %d", got[0])
	}
	old := c.epoch
	end := c.end(5, true)
	if end.ErrorCode != errNone || end.ProducerID != c.pid || end.ProducerEpoch != old+1 {
		t.Fatalf("EndTxn: %+v", end)
	}
	c.state("CompleteCommit")
	if again := c.end(5, true); again.ErrorCode != errNone || again.ProducerEpoch != old+1 {
		t.Errorf("EndTxn once more: %+v", again)
	}
	if p := c.producer(); p.CurrentTxnStartOffset != -1 || p.ProducerEpoch != int32(old+1) || p.CoordinatorEpoch < 0 {
		t.Errorf("ended: %+v", p)
	}
	for partition := range 2 { // where the transaction was, and where it was not
		late := make([][]byte, partition+1)
		for i := range late {
			late[i] = c.batch(c.pid, old, 1, true)
		}
		if got := c.produce(12, id, &c.id, late...); got[partition] != errInvalidProducerEpoch {
			t.Errorf("a late batch to partition %d: %d", partition, got[partition])
		}
	}
	c.epoch = end.ProducerEpoch
	if got := c.produce(12, id, &c.id, c.batch(c.pid, c.epoch, 0, true)); got[0] != errNone {
		t.Errorf("the next transaction: %d", got[0])
	}
	if got := c.end(5, false); got.ErrorCode != errNone {
		t.Errorf("its end: %d", got.ErrorCode)
	}
	c.state("CompleteAbort")
}

// TestTransactionV2AtOnce begins each transaction before the markers of the one
// before are written: nothing of it is refused.
func TestTransactionV2AtOnce(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 2, nil)
	c := beginTxn(t, b, "at once")
	for n := range 300 {
		got := []int16{errConcurrentTransactions}
		for got[0] == errConcurrentTransactions { // clients try again after it
			got = c.produce(12, id, &c.id, c.batch(c.pid, c.epoch, 0, true), c.batch(c.pid, c.epoch, 0, true))
		}
		if got[0] != errNone || got[1] != errNone {
			t.Fatalf("transaction %d: %d", n, got)
		}
		end := c.end(5, n%2 == 0)
		if end.ErrorCode != errNone {
			t.Fatalf("the end of transaction %d: %d", n, end.ErrorCode)
		}
		c.epoch = end.ProducerEpoch
	}
}

// TestTransactionV1 holds the codes of clients that add partitions themselves.
func TestTransactionV1(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 2, nil)
	c := beginTxn(t, b, "v1")
	for version, want := range map[int16]int16{9: errInvalidTxnState, 10: errInvalidTxnState, 11: errTransactionAbortable} {
		if got := c.produce(version, id, &c.id, c.batch(c.pid, c.epoch, 0, true)); got[0] != want {
			t.Errorf("Produce v%d to a partition that was not added: %d, want %d", version, got[0], want)
		}
	}
	for _, internal := range []string{cluster.TransactionsTopic, cluster.OffsetsTopic} {
		if got := c.add(internal, 0); got != errTopicAuthorization {
			t.Errorf("%s was added: %d, want %d", internal, got, errTopicAuthorization)
		}
	}
	if got := c.add("t", 0); got != errNone {
		t.Fatalf("AddPartitionsToTxn: %d", got)
	}
	if got := c.produce(11, id, &c.id, c.batch(c.pid, c.epoch, 0, true)); got[0] != errNone {
		t.Errorf("Produce: %d", got[0])
	}
	for _, want := range []int16{errNone, errNone} { // the second is a retry
		if got := c.end(3, false); got.ErrorCode != want {
			t.Errorf("EndTxn: %d", got.ErrorCode)
		}
		c.state("CompleteAbort")
	}
}

// TestTransactionForeignBatches: the coordinator is asked about one producer,
// so batches of another must not pass with its answer.
func TestTransactionForeignBatches(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 2, nil)
	for _, version := range []int16{11, 12} {
		c := beginTxn(t, b, "foreign")
		if version < 12 {
			for p := range int32(2) {
				if got := c.add("t", p); got != errNone {
					t.Fatalf("AddPartitionsToTxn: %d", got)
				}
			}
		}
		got := c.produce(version, id, &c.id, c.batch(c.pid, c.epoch, 0, true), c.batch(c.pid+1000, 0, 0, true))
		if got[0] != errNone || got[1] != errInvalidProducerIDMapping {
			t.Errorf("v%d: codes %v, want 0 and %d", version, got, errInvalidProducerIDMapping)
		}
		if got := c.produce(version, id, nil, c.batch(c.pid, c.epoch, 1, true)); got[0] != errTransactionalAuthorization {
			t.Errorf("v%d without a transactional id: %d, want %d", version, got[0], errTransactionalAuthorization)
		}
	}
}

// TestTransactionOffsetsNotAdded: offsets without AddOffsetsToTxn.
func TestTransactionOffsetsNotAdded(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	c := beginTxn(t, b, "offsets")
	commit := func(version int16) int16 {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = version, c.id, "g", c.pid, c.epoch
		req.Generation = -1
		top := kmsg.NewTxnOffsetCommitRequestTopic()
		top.Topic = "t"
		top.Partitions = append(top.Partitions, kmsg.NewTxnOffsetCommitRequestTopicPartition())
		req.Topics = append(req.Topics, top)
		var code int16
		eventually(t, "TxnOffsetCommit", func() bool {
			code = ask[*kmsg.TxnOffsetCommitResponse](c.wire, req).Topics[0].Partitions[0].ErrorCode
			return code != errCoordinatorLoadInProgress && code != errCoordinatorNotAvailable
		})
		return code
	}
	for _, step := range []struct{ version, want int16 }{{3, errInvalidTxnState}, {4, errTransactionAbortable}, {5, errNone}, {4, errNone}} {
		if got := commit(step.version); got != step.want {
			t.Errorf("v%d: %d, want %d", step.version, got, step.want)
		}
	}
	// A marker of transaction version 2 with the producer's own epoch is of the
	// transaction before: it must not end this one.
	mark := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.TransactionVersion = c.pid, c.epoch, 2
	part, _ := b.offsetsPartition("g")
	top := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	top.Topic, top.Partitions = part.Topic, []int32{part.Partition}
	m.Topics = append(m.Topics, top)
	mark.Version, mark.Markers = 2, append(mark.Markers, m)
	if got := ask[*kmsg.WriteTxnMarkersResponse](c.wire, mark).Markers[0].Topics[0].Partitions[0].ErrorCode; got != errInvalidProducerEpoch {
		t.Errorf("a marker of the transaction before: %d, want %d", got, errInvalidProducerEpoch)
	}
	if end := c.end(5, true); end.ErrorCode != errNone {
		t.Errorf("EndTxn: %d", end.ErrorCode)
	}
	c.state("CompleteCommit")
}

// TestTransactionTopicDeleted: a transaction ends also when a topic of it is
// gone.
func TestTransactionTopicDeleted(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, nil)
	c := beginTxn(t, b, "deleted")
	if got := c.produce(12, id, &c.id, c.batch(c.pid, c.epoch, 0, true)); got[0] != errNone {
		t.Fatalf("Produce: %d", got[0])
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 60_000, []string{"t"}
	if got := ask[*kmsg.DeleteTopicsResponse](c.wire, req).Topics[0].ErrorCode; got != errNone {
		t.Fatalf("DeleteTopics: %d", got)
	}
	if end := c.end(5, true); end.ErrorCode != errNone {
		t.Errorf("EndTxn: %d", end.ErrorCode)
	}
	c.state("CompleteCommit")
}

// TestTransactionEndsBeforeAppend: another connection ends the transaction
// after the coordinator has said that the partition is in it and before the
// batch is appended, which a slow codec puts off. The batch must not open a
// transaction that nobody ends.
func TestTransactionEndsBeforeAppend(t *testing.T) {
	b := run(t, nil)
	id := makeTopic(t, b, "t", 1, map[string]*string{"compression.type": kmsg.StringPtr("gzip"), "compression.gzip.level": kmsg.StringPtr("9")})
	c := beginTxn(t, b, "races")
	other := &txnClient{wire: dial(t, b), id: c.id, pid: c.pid, epoch: c.epoch}
	text := make([]byte, 700<<10)
	for i := range text {
		text[i] = "abcdefgh"[rand.IntN(8)] // what gzip takes long for
	}
	o := record.DefaultBuilderOptions()
	o.ProducerID, o.ProducerEpoch, o.Transactional = c.pid, c.epoch, true
	for seq, round := int32(0), 0; ; round++ {
		if round == 200 {
			t.Fatal("no end came between answer and append")
		}
		if got := c.add("t", 0); got != errNone {
			t.Fatalf("AddPartitionsToTxn: %d", got)
		}
		o.BaseSequence = seq
		bld := record.NewBuilder(nil, o)
		bld.Append(1_700_000_000_000, nil, text)
		raw, err := bld.Finish()
		if err != nil {
			t.Fatal(err)
		}
		code := make(chan int16)
		go func() { code <- c.produce(11, id, &c.id, raw)[0] }()
		for range round * 4 {
			other.state("Ongoing") // time passes
		}
		if got := other.end(3, true); got.ErrorCode != errNone {
			t.Fatalf("EndTxn: %d", got.ErrorCode)
		}
		other.state("CompleteCommit")
		got := <-code
		switch got {
		case errNone:
			seq++
		case errInvalidTxnState:
		case errTransactionAbortable, errNotEnoughReplicas: // the end came even before the question
		default:
			t.Fatalf("Produce: %d", got)
		}
		if offsets := b.logOf("t", 0).Offsets(); offsets.LastStable != offsets.LogEnd {
			t.Fatalf("a transaction hangs: %+v", offsets)
		}
		if got == errInvalidTxnState {
			return
		}
	}
}

// TestTxnOffsetsInAnOpenTransaction: while a transaction is open in a group's
// partition, its producer's further commits are not verified again, as its
// batches are not: the coordinator is asked once a transaction and partition.
func TestTxnOffsetsInAnOpenTransaction(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	c := beginTxn(t, b, "opens")
	eventually(t, "the group's coordinator", func() bool {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 3, c.id, c.pid, c.epoch, "g"
		return ask[*kmsg.AddOffsetsToTxnResponse](c.wire, req).ErrorCode == errNone && b.groups.Load().Ready()
	})
	commit := func(id string) int16 {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Version, req.TransactionalID, req.Group, req.Generation = 3, id, "g", -1
		req.ProducerID, req.ProducerEpoch = c.pid, c.epoch
		top := kmsg.NewTxnOffsetCommitRequestTopic()
		top.Topic = "t"
		top.Partitions = []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}
		req.Topics = append(req.Topics, top)
		return ask[*kmsg.TxnOffsetCommitResponse](c.wire, req).Topics[0].Partitions[0].ErrorCode
	}
	if code := commit("another"); code != errInvalidProducerIDMapping {
		t.Errorf("before it is open, by another transactional id: %d", code)
	}
	if code := commit(c.id); code != errNone {
		t.Fatalf("the first commit: %d", code)
	}
	if code := commit("another"); code != errNone {
		t.Errorf("the coordinator was asked again: %d", code)
	}
	if end := c.end(3, true); end.ErrorCode != errNone {
		t.Fatalf("EndTxn: %+v", end)
	}
	c.state("CompleteCommit")
	if code := commit("another"); code != errInvalidProducerIDMapping {
		t.Errorf("after its end: %d", code)
	}
}

// TestTransactionsFiltered: every filter of ListTransactions leaves out the rest.
func TestTransactionsFiltered(t *testing.T) {
	b := run(t, nil)
	makeTopic(t, b, "t", 1, nil)
	open, idle := beginTxn(t, b, "order-1"), beginTxn(t, b, "order-10")
	if got := open.add("t", 0); got != errNone {
		t.Fatalf("AddPartitionsToTxn: %d", got)
	}
	w := dial(t, b)
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name   string
		change func(*kmsg.ListTransactionsRequest)
		want   string
	}{
		{"all", func(*kmsg.ListTransactionsRequest) {}, "order-1 Ongoing,order-10 Empty"},
		{"a state", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Empty"} }, "order-10 Empty"},
		{"states", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Empty", "Ongoing"} }, "order-1 Ongoing,order-10 Empty"},
		{"no state that is known", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Busy"} }, ""},
		{"a producer", func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{open.pid} }, "order-1 Ongoing"},
		{"both producers", func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{idle.pid, open.pid} }, "order-1 Ongoing,order-10 Empty"},
		{"a producer that is not there", func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{1 << 40} }, ""},
		{"a name", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = text("order-1") }, "order-1 Ongoing"},
		{"the end of a name", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = text("rder-10") }, ""},
		{"one of two names", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = text("order-1|order-2") }, "order-1 Ongoing"},
		{"a pattern", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = text("order-.*0") }, "order-10 Empty"},
		{"an empty pattern", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = text("") }, "order-1 Ongoing,order-10 Empty"},
		{"open for an hour", func(r *kmsg.ListTransactionsRequest) {
			r.DurationFilterMillis = 3_600_000
			r.StateFilters = []string{"Ongoing"}
		}, ""},
	} {
		req := kmsg.NewPtrListTransactionsRequest()
		req.Version = 2
		c.change(req)
		var got []string
		for _, s := range ask[*kmsg.ListTransactionsResponse](w, req).TransactionStates {
			got = append(got, s.TransactionalID+" "+s.TransactionState)
		}
		if list := strings.Join(got, ","); list != c.want {
			t.Errorf("%s: %q, want %q", c.name, list, c.want)
		}
	}
}

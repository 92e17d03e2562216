package broker

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/netloop"
)

// Produce: v0–13. v0–2 carry message sets of old formats; see produce_old.go.
//
// A partition's batch is appended on the loop; the answer waits, without
// holding anything up, until every batch is as durable as the broker's mode
// promises, whatever acks says (acks=1 need not with Options.AckWritten).
// acks=0 gets no answer; an error then closes the connection, as in Kafka.
//
// Bytes: the request's frame is kept until the last append is done, since the
// journal is written from it.
var produceAPI = api{
	key: keyProduce, name: "Produce", min: 0, max: 13, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpWrite, place: onLoop, handle: handleProduce,
}

// produce is a Produce request at work. Pooled per loop; loop only.
type produce struct {
	loop *loop
	rq   *request
	req  codec.ProduceRequest
	it   codec.ProduceIter
	all  codec.ProduceIter // the same from the start, for a look ahead
	// once is what is left to walk instead of it when partitions were named
	// twice; see produce_repeats.go.
	once    []codec.ProducePartition
	spoiled []spoiled // nil, or in the order of parts
	// refused is the code of all partitions that are still to be looked at.
	refused errCode
	// cur is the partition where the walk stopped.
	cur    codec.ProducePartition
	hasCur bool
	// packed and packErr are cur's batch in the topic's codec, from a worker.
	packed  []byte
	packErr error
	// converted: packed is cur's message set as a batch (empty for an empty
	// set), or packErr says why there is none.
	converted bool
	// txn is what the transaction coordinator has said; nil before it was asked.
	txn *enlisted

	parts   []producePart
	pending int  // appends whose token is out
	ended   bool // every partition was looked at
	failed  bool // some partition has an error
	done    bool // answered: by the disk, by the timeout or, with acks=0, at once

	timer      netloop.Timer
	parked     bool // in the loop's busy list
	next, prev *produce
}

// walked is how a walk over the partitions stopped.
type walked uint8

const (
	walkDone   walked = iota
	walkBusy          // the commit queue is full
	walkWorker        // a worker recompresses a batch
	walkTxn           // the transaction coordinator is asked
)

// producePart is one partition's append and, as a pointer, its token.
type producePart struct {
	p       *produce
	loop    *loop
	err     error // why the batch never became durable; set before deliver
	topic   codec.TopicRef
	first   bool
	waiting bool // the token is out
	res     codec.ProduceResult
}

// minProduceWait is the least time that a Produce waits for the disk. In Kafka
// a partition without followers never times out, and clients with a timeout of
// zero rely on it.
const minProduceWait = time.Second

var errAcksZero = errors.New("broker: a Produce with acks=0 failed; closing is how its client learns")

// adminClient is the client id that may write to internal topics (KafkaApis).
const adminClient = "__admin_client"

func handleProduce(rq *request) kmsg.Response {
	req, it, err := codec.ParseProduce(rq.version, rq.body)
	if err == nil {
		err = rq.checkNamed(req.Partitions)
	}
	if err != nil {
		rq.fail(err)
		return nil
	}
	p := rq.loop.produce()
	p.rq, p.req, p.it, p.all = rq, req, it, it
	rq.produce = p
	p.refused = p.refusal()
	distinct := req.Partitions
	if req.Partitions > 1 && rq.loop.seen.produceRepeats(it) {
		p.once, p.spoiled = lastOfEach(it, rq.version)
		p.it, distinct = codec.ProduceIter{}, len(p.once)
	}
	if cap(p.parts) < distinct {
		// Never grown later: tokens point into it.
		p.parts = make([]producePart, 0, max(distinct, 4))
	}
	if req.Acks != 0 {
		wait := max(time.Duration(req.TimeoutMillis)*time.Millisecond, minProduceWait)
		rq.loop.nl.Schedule(&p.timer, rq.received.Add(wait))
	}
	if rq.loop.busy.head != nil {
		// Others wait for room already, and nobody overtakes them.
		p.park()
		return nil
	}
	p.run()
	return nil
}

// refusal is the code that refuses the whole request, if any.
func (p *produce) refusal() errCode {
	if a := p.req.Acks; a < -1 || a > 1 {
		return errInvalidRequiredAcks
	}
	if id := p.req.TransactionalID; id != nil && p.hasTransactional() && !p.rq.authorize(auth.OpWrite, auth.ResTxnID, id) {
		return errTransactionalAuthorization
	}
	return errNone
}

// run walks and sees to how the walk stopped; true when it came to the end.
func (p *produce) run() bool {
	switch p.walk() {
	case walkBusy:
		p.park()
		return false
	case walkWorker, walkTxn:
		return false
	}
	p.walkEnded()
	return true
}

// walk appends partition after partition.
func (p *produce) walk() walked {
	for {
		part := p.cur
		if !p.hasCur {
			var ok bool
			if part, ok = p.following(); !ok {
				p.ended = true
				return walkDone
			}
		}
		p.hasCur = false
		if how := p.one(part); how != walkDone {
			p.cur, p.hasCur = part, true
			return how
		}
		if p.spoiled != nil {
			p.spoil(len(p.parts) - 1)
		}
	}
}

// spoil refuses a partition for which a bad batch was named beside the one that
// was appended, unless nobody would have looked at either (KafkaApis.handleProduceRequest).
func (p *produce) spoil(i int) {
	part, bad := &p.parts[i], p.spoiled[i]
	switch part.res.ErrorCode {
	case errUnknownTopicID, errUnknownTopicOrPartition, errTopicAuthorization:
		return
	}
	if bad.code != errNone && p.refused == errNone {
		part.refuse(bad.code, bad.why)
	}
}

// following gives the partition after the last one.
func (p *produce) following() (part codec.ProducePartition, ok bool) {
	if len(p.once) == 0 {
		return p.it.Next()
	}
	part, p.once = p.once[0], p.once[1:]
	return part, true
}

// repack has a worker bring a batch to the topic's codec and, for a compacted
// topic, look for the keys in a compressed one; the walk goes on from there.
func (p *produce) repack(records []byte, want int8, level int, keyed bool) {
	rq := p.rq
	rq.resume = p.goOn
	rq.offload(func() kmsg.Response {
		p.packed, p.packErr = records, nil
		if keyed && batchCodec(records) != 0 {
			p.packErr = checkKeys(records)
		}
		if p.packErr == nil && want != batchCodec(records) {
			p.packed, p.packErr = recompress(records, want, level)
		}
		return nil
	})
}

// goOn continues a walk that waited for somebody; see request.resume.
func (p *produce) goOn() bool {
	if p.ended { // by the timeout
		if p.pending == 0 {
			p.end()
		}
		return true
	}
	return p.run()
}

// one handles one partition, unless the commit queue is full (walkBusy), its
// batch must be recompressed first (walkWorker) or its transaction is not known
// to have the partition (walkTxn).
func (p *produce) one(in codec.ProducePartition) walked {
	p.parts = append(p.parts, producePart{p: p, loop: p.loop, topic: in.Topic, first: in.FirstOfTopic})
	part := &p.parts[len(p.parts)-1]
	part.res = codec.ProduceResult{Partition: in.Partition, BaseOffset: -1, LogAppendTime: -1, LogStartOffset: -1, CurrentLeaderID: -1}
	if p.refused != errNone {
		part.refuse(p.refused, "")
		return walkDone
	}
	target, code := p.find(&part.topic, in.Partition)
	if code != errNone {
		part.refuse(code, "")
		return walkDone
	}
	if isOldSet(p.rq.version, in.Records) {
		how := p.oneOld(part, target, in.Records)
		if how != walkDone {
			p.parts = p.parts[:len(p.parts)-1]
		}
		return how
	}
	if p.rq.version < firstBatchVersion && cutOff(in.Records) {
		return walkDone // no whole batch is no error there
	}
	records, code, why := checkRecords(in.Records, p.rq.version)
	if code != errNone {
		part.refuse(code, why)
		return walkDone
	}
	var guard logstore.Guard
	// Without a transactional id it is refused before anybody looks at the batch.
	if id, _ := batchProducer(records); batchTransactional(records) && (id >= 0 || p.req.TransactionalID == nil) {
		how, g, code := p.enlist(target, records)
		guard = g
		if how != walkDone {
			p.parts = p.parts[:len(p.parts)-1]
			return how
		}
		if code != errNone {
			part.refuse(code, "")
			return walkDone
		}
	}
	has, want := batchCodec(records), int8(target.topic.codec.Load())
	if want < 0 {
		want = has
	}
	if keyed := target.topic.keyed.Load(); want != has || keyed && has != 0 {
		if p.packed == nil && p.packErr == nil {
			p.parts = p.parts[:len(p.parts)-1]
			p.repack(records, want, int(target.topic.level.Load()), keyed)
			return walkWorker
		}
		records = p.packed
	}
	err := p.packErr
	if err == nil {
		err = part.append(target, records, guard)
	}
	if errors.Is(err, logstore.ErrBusy) {
		p.parts = p.parts[:len(p.parts)-1]
		return walkBusy
	}
	p.packed, p.packErr = nil, nil
	if err != nil {
		part.refuseAppend(err, target)
	}
	return walkDone
}

// find gives the partition if the client may write to it.
func (p *produce) find(ref *codec.TopicRef, index int32) (*partition, errCode) {
	s := p.rq.s
	var t *topic
	if p.rq.version >= 13 {
		if t = s.b.topics.withID(ref.ID); t == nil {
			return nil, errUnknownTopicID
		}
		if s.b.auth.Enabled() && !p.rq.authorize(auth.OpWrite, auth.ResTopic, []byte(t.name)) {
			return nil, errTopicAuthorization
		}
	} else {
		if !p.rq.authorize(auth.OpWrite, auth.ResTopic, ref.Name) {
			return nil, errTopicAuthorization
		}
		if t = s.b.topics.named(ref.Name); t == nil {
			return nil, errUnknownTopicOrPartition
		}
	}
	target := t.partition(index)
	if target == nil {
		return nil, errUnknownTopicOrPartition
	}
	if t.internal && p.rq.clientID != adminClient {
		return nil, errInvalidTopic
	}
	if p.req.Acks == -1 && t.starved.Load() {
		return nil, errNotEnoughReplicas
	}
	return target, errNone
}

// walkEnded answers what needs no disk.
func (p *produce) walkEnded() {
	switch {
	case p.done:
	case p.req.Acks == 0:
		p.done = true
		p.rq.chargeProduce()
		if p.failed {
			p.rq.err = errAcksZero
		}
		if p.pending > 0 {
			// The frame stays until its tokens are back.
			p.rq.complete()
		}
	case p.pending == 0:
		p.respond()
	default:
		p.rq.waits()
	}
	if p.pending == 0 {
		p.end()
	}
}

// settled takes a token back. Loop only.
func (part *producePart) settled() {
	p := part.p
	part.waiting = false
	p.pending--
	if part.err != nil && !p.done {
		part.refuseErr(part.err)
	}
	if p.pending > 0 || !p.ended || p.rq.working {
		return
	}
	if !p.done {
		p.respond()
	}
	p.end()
}

// expire answers what is not durable by now with REQUEST_TIMED_OUT. The
// batches stay appended.
func (p *produce) expire(time.Time) {
	if p.done {
		return
	}
	for i := range p.parts {
		if p.parts[i].waiting {
			p.parts[i].refuse(errRequestTimedOut, "")
		}
	}
	s, wasParked := p.rq.s, p.parked
	if !p.ended {
		if p.parked {
			p.loop.unpark(p)
		}
		p.refused = errRequestTimedOut
		p.walk() // to the end, since it refuses
	}
	p.respond()
	if p.pending == 0 && !p.rq.working {
		p.end()
	} else {
		p.rq.complete()
	}
	if wasParked {
		s.unblock()
	}
}

// abandon ends a walk that panicked, before the request is answered for it: the
// tokens that are out find a Produce that is done, and the last one frees it.
func (p *produce) abandon() {
	p.loop.nl.Cancel(&p.timer)
	if p.parked {
		p.loop.unpark(p)
	}
	p.done, p.ended = true, true
	p.rq.held = p.pending > 0
}

// respond builds the answer.
func (p *produce) respond() {
	p.done = true
	rq := p.rq
	rq.chargeProduce()
	topics := 0
	for i := range p.parts {
		if p.parts[i].first {
			topics++
		}
	}
	out := netloop.NewResponse(64 + 64*len(p.parts))
	dst := codec.AppendResponseHeader(out.Buf.B[:0], keyProduce, rq.version, rq.correlation)
	w := codec.NewProduceResponse(dst, rq.version, topics)
	for i := range p.parts {
		if p.parts[i].first {
			n := 1
			for j := i + 1; j < len(p.parts) && !p.parts[j].first; j++ {
				n++
			}
			w.Topic(p.parts[i].topic, n)
		}
		w.Partition(&p.parts[i].res)
	}
	out.Buf.B = w.Finish(rq.throttleMillis(), nil)
	codec.FinishResponse(out.Buf.B, 0)
	rq.out, rq.failed = out, p.failed
}

// end gives the request and the frame back.
func (p *produce) end() {
	p.loop.nl.Cancel(&p.timer)
	if p.rq.answered {
		p.loop.free(p.rq)
	} else {
		p.rq.finish()
	}
	p.loop.freeProduce(p)
}

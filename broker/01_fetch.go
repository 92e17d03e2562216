package broker

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/codec"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/netloop"
)

// Fetch: v0–18. v0–3 get message sets of old formats; see fetch_old.go.
//
// A fetch reads every partition once and is answered when that is enough:
// min_bytes were found, a partition has an error or diverges, nothing is asked
// for, or max_wait is 0. A partition that is not there, or may not be read, does not
// end the wait while another can be: a client that asks for both would otherwise
// ask again and again without a pause (KafkaApis.handleFetchRequest has them apart,
// too). Otherwise it is parked (see purgatory.go) and reads
// again whenever one of its partitions moves. Records leave as ranges of
// segment files; the loop copies none of them.
//
// Sessions (KIP-227) are in sessions.go. This broker is the only replica, so
// that preferred_read_replica (KIP-392) is always -1.
var fetchAPI = api{
	key: keyFetch, name: "Fetch", min: 0, max: 18, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpRead, place: onLoop, handle: handleFetch,
}

// fetch is a Fetch request at work. Pooled per loop; loop only but for woken.
type fetch struct {
	loop *loop
	rq   *request
	req  codec.FetchRequest

	// session is the session that the request belongs to; nil when it has none.
	session *fetchSession
	// create asks for a new session with the answer.
	create bool

	// parts are the partitions to read, in order; they lie in own or belong to
	// the session.
	parts []*fetchPart
	own   []fetchPart

	maxBytes int64
	minBytes int64
	bytes    int64 // found by the last read
	urgent   bool  // the last read found an error or a diverging epoch
	// Fetch v0–3: the partition to read first, whether the fetch holds the
	// connection's later requests back, and whether a worker converted (or
	// converts) what was read.
	first      int
	holds      bool
	converting bool

	timer  netloop.Timer
	parked bool
	woken  flag
	// The session of the connection lists its parked fetches.
	next, prev *fetch
}

// fetchPart is one partition of a fetch, or of a fetch session.
type fetchPart struct {
	// What the client asks for.
	ref       codec.TopicRef // Name aliases the request, in a session it is its own
	index     int32
	offset    int64
	epoch     int32
	lastEpoch int32
	maxBytes  int32

	// part is found by name or id on first use, and again when it was deleted.
	part   *partition
	cursor logstore.Cursor

	// What the last read found.
	code           errCode
	slice          logstore.Slice // released by respond or drop
	offsets        logstore.Offsets
	divergingEpoch int32
	divergingEnd   int64
	converted      memory        // Fetch v0–3: the slice in the client's format
	room           *codec.Buffer // where it lies; nil when it is empty

	// What the last answer of the session told; -1 for nothing yet.
	sentHW, sentStart int64
	next, prev        *fetchPart // the session's order

	waiter waiter
}

func handleFetch(rq *request) kmsg.Response {
	req, it, err := codec.ParseFetch(rq.version, rq.body)
	if err == nil {
		err = rq.checkNamed(req.Partitions)
	}
	if err != nil {
		rq.fail(err)
		return nil
	}
	f := rq.loop.fetch()
	f.rq, f.req = rq, req
	f.maxBytes = int64(max(min(req.MaxBytes, rq.s.b.settings.Load().fetchMaxBytes), 0))
	f.maxBytes = rq.mostFetch(f.maxBytes)
	f.minBytes = min(int64(req.MinBytes), f.maxBytes)
	if f.req.Isolation&^1 != 0 && rq.version >= firstIDFetch {
		f.refuse(errUnknownServer)
		return nil
	}
	if code := f.enter(&it); code != errNone {
		f.refuse(code)
		return nil
	}
	if f.old() {
		f.limitOld()
	}
	f.read()
	if f.enough() || req.MaxWaitMillis <= 0 {
		f.respond()
		return nil
	}
	f.park()
	return nil
}

const (
	readCommitted = 1
	// firstIDFetch is the first version that names topics by id.
	firstIDFetch = 13
	// firstLeaderHint is the first version that tells who leads (KIP-951).
	firstLeaderHint = 16
)

// set takes over what a request says of a partition.
func (fp *fetchPart) set(in *codec.FetchPartition) {
	fp.index, fp.offset, fp.epoch, fp.lastEpoch, fp.maxBytes = in.Partition, in.Offset, in.CurrentLeaderEpoch, in.LastFetchedEpoch, in.MaxBytes
}

// read reads every partition, in order, within the request's bytes.
func (f *fetch) read() {
	f.drop()
	f.bytes, f.urgent = 0, false
	left, readable := f.maxBytes, false
	for i := range f.parts {
		fp := f.parts[(f.first+i)%len(f.parts)]
		if f.readOne(fp, left) {
			readable = true
			f.urgent = f.urgent || fp.code != errNone || fp.divergingEpoch >= 0
		}
		f.bytes += fp.slice.Len
		left = max(left-fp.slice.Len, 0)
	}
	f.urgent = f.urgent || !readable
}

// readOne reads one partition; left is what the answer has room for. It reports
// false for one that the client cannot read, unless it could until now: then its
// wait has come to an end.
func (f *fetch) readOne(fp *fetchPart, left int64) bool {
	fp.divergingEpoch, fp.divergingEnd = -1, -1
	fp.offsets = logstore.Offsets{LogStart: -1, HighWatermark: -1, LastStable: -1, LogEnd: -1}
	if f.req.Isolation&^1 != 0 {
		fp.code = errUnknownServer // what Kafka makes of IsolationLevel.forId
		return true
	}
	had := fp.part
	if fp.code = f.find(fp); fp.code != errNone {
		return had != nil && fp.part == nil
	}
	log := fp.part.log
	// Any epoch below 0 asks for no check here (FetchRequest.optionalEpoch).
	if fp.code = checkEpoch(max(fp.epoch, noEpoch), log.Epoch()); fp.code != errNone {
		return true
	}
	if f.req.ReplicaID >= 0 {
		fp.code = errNotLeaderOrFollower // no broker follows this one
		return true
	}
	if fp.part.topic.codec.Load() == codecZstd && f.rq.version < 10 {
		fp.code = errUnsupportedCompression
		return true
	}
	if fp.lastEpoch >= 0 {
		epoch, end := log.EndForEpoch(fp.lastEpoch)
		if epoch < 0 || end < 0 {
			fp.code = errOffsetOutOfRange
			return true
		}
		if epoch < fp.lastEpoch || end < fp.offset {
			fp.offsets = log.Offsets()
			fp.divergingEpoch, fp.divergingEnd = epoch, end
			return true
		}
	}
	// The first partition with data gives at least one batch (KIP-74).
	minOne := f.bytes == 0 || f.rq.version <= hardLimitFetch
	if left == 0 && f.bytes > 0 {
		fp.offsets = log.Offsets()
		return true
	}
	slice, err := log.Read(logstore.Read{
		Offset: fp.offset, MaxBytes: int(min(int64(max(fp.maxBytes, 0)), left)), MinOne: minOne,
		Committed: f.req.Isolation == readCommitted, Cursor: &fp.cursor,
	})
	if err != nil {
		fp.code = f.readCode(err)
		return true
	}
	fp.slice, fp.offsets = slice, slice.Offsets
	return true
}

// find resolves a partition and asks whether the client may read it.
func (f *fetch) find(fp *fetchPart) errCode {
	s := f.rq.s
	if fp.part != nil && !fp.part.deleted.Load() {
		if s.b.auth.Enabled() && !f.rq.authorize(auth.OpRead, auth.ResTopic, []byte(fp.part.topic.name)) {
			return errTopicAuthorization
		}
		return errNone
	}
	fp.part, fp.cursor = nil, logstore.Cursor{}
	var t *topic
	if f.rq.version >= firstIDFetch {
		if t = s.b.topics.withID(fp.ref.ID); t == nil {
			return errUnknownTopicID
		}
		if s.b.auth.Enabled() && !f.rq.authorize(auth.OpRead, auth.ResTopic, []byte(t.name)) {
			return errTopicAuthorization
		}
	} else {
		if !f.rq.authorize(auth.OpRead, auth.ResTopic, fp.ref.Name) {
			return errTopicAuthorization
		}
		if t = s.b.topics.named(fp.ref.Name); t == nil {
			return errUnknownTopicOrPartition
		}
	}
	if fp.part = t.partition(fp.index); fp.part == nil {
		return errUnknownTopicOrPartition
	}
	return errNone
}

// noEpoch asks for no check of a leader epoch.
const noEpoch = -1

// checkEpoch is the check of KIP-320.
func checkEpoch(asked, current int32) errCode {
	switch {
	case asked == noEpoch || asked == current:
		return errNone
	case asked < current:
		return errFencedLeaderEpoch
	}
	return errUnknownLeaderEpoch
}

func (f *fetch) readCode(err error) errCode {
	code := codeOf(err)
	if code == errStorage && f.rq.version <= 5 {
		code = errNotLeaderOrFollower // clients of that age do not know 56
	}
	if code == errUnknownServer {
		f.rq.s.b.logger.Error("a read failed", "error", err)
	}
	return code
}

// enough reports whether the last read may be answered at once.
func (f *fetch) enough() bool {
	return f.bytes >= f.minBytes || f.urgent || len(f.parts) == 0
}

// drop releases what the last read found.
func (f *fetch) drop() {
	for _, fp := range f.parts {
		if fp.slice.Len > 0 {
			fp.slice.Seg.Release()
		}
		fp.slice = logstore.Slice{}
	}
}

// refuse answers with an error for the whole request.
func (f *fetch) refuse(code errCode) {
	rq := f.rq
	out := netloop.NewResponse(64)
	dst := codec.AppendResponseHeader(out.Buf.B[:0], keyFetch, rq.version, rq.correlation)
	w := codec.NewFetchResponse(dst, rq.version, 0, code, 0, 0)
	out.Buf.B = w.Finish(nil)
	codec.FinishResponse(out.Buf.B, 0)
	rq.failed = true
	f.leave()
	f.loop.freeFetch(f)
	rq.answer(out)
}

// withhold answers a fetch that passes its quota: nothing is read, and the session
// is as it was (FetchContext.getThrottledResponse).
func (f *fetch) withhold() {
	rq, s, holds := f.rq, f.rq.s, f.holds
	f.drop()
	id := int32(sessionless)
	if f.session != nil {
		id = f.session.id
	}
	out := netloop.NewResponse(64)
	dst := codec.AppendResponseHeader(out.Buf.B[:0], keyFetch, rq.version, rq.correlation)
	w := codec.NewFetchResponse(dst, rq.version, rq.throttleMillis(), errNone, id, 0)
	out.Buf.B = w.Finish(nil)
	codec.FinishResponse(out.Buf.B, 0)
	f.leave()
	f.loop.freeFetch(f)
	rq.answer(out)
	if holds {
		s.unblock()
	}
}

// respond builds the answer from the last read and gives it.
func (f *fetch) respond() {
	if !f.converting && !f.rq.chargeFetch(f.bytes) {
		f.withhold()
		return
	}
	if f.old() && f.bytes > 0 && !f.converting {
		f.convert()
		return
	}
	rq, s, holds := f.rq, f.rq.s, f.holds
	incremental := f.session != nil
	sessionID := f.settle()
	shown := f.parts[:0]
	for _, fp := range f.parts {
		if incremental && !fp.tell() {
			continue
		}
		if incremental {
			fp.told()
		}
		shown = append(shown, fp)
	}
	f.parts = shown

	out := netloop.NewResponse(128 + 96*len(shown))
	dst := codec.AppendResponseHeader(out.Buf.B[:0], keyFetch, rq.version, rq.correlation)
	w := codec.NewFetchResponse(dst, rq.version, rq.throttleMillis(), errNone, sessionID, f.runs())
	var extra int64
	var res codec.FetchResult
	var aborted []codec.FetchAborted
	for i, fp := range shown {
		if i == 0 || !f.sameTopic(shown[i-1], fp) {
			w.Topic(fp.ref, f.runLength(i))
		}
		aborted = fp.result(&res, aborted[:0], &f.req)
		if rq.version >= firstLeaderHint && fp.part != nil && (fp.code == errFencedLeaderEpoch || fp.code == errNotLeaderOrFollower) {
			res.CurrentLeaderID, res.CurrentLeaderEpoch = rq.s.b.opt.NodeID, fp.part.log.Epoch()
		}
		w.Partition(&res)
		if fp.slice.Len > 0 {
			out.Buf.B = w.Bytes()
			out.Cut(netloop.Range{File: fp.slice.Seg, Off: fp.slice.Off, Len: fp.slice.Len, Mem: fp.slice.Mem, Hot: fp.slice.Hot, Owner: fp.slice.Seg})
			extra += fp.slice.Len
			fp.slice = logstore.Slice{}
		}
		if n := int64(len(fp.converted)); n > 0 {
			out.Buf.B = w.Bytes()
			out.Cut(fp.converted.span(fp.room))
			fp.room = nil
			extra += n
		}
		if fp.code != errNone {
			rq.failed = true
		}
	}
	out.Buf.B = w.Finish(nil)
	codec.FinishResponse(out.Buf.B, extra)
	f.loop.load.fetchedBytes.Add(extra)
	f.leave()
	f.loop.freeFetch(f)
	rq.answer(out)
	if holds {
		s.unblock()
	}
}

// result fills a partition's answer. The aborted list is null for
// read_uncommitted and for what the log refused, and empty for what no log was
// asked for (FetchResponse.partitionResponse).
func (fp *fetchPart) result(r *codec.FetchResult, aborted []codec.FetchAborted, req *codec.FetchRequest) []codec.FetchAborted {
	*r = codec.FetchResult{
		Partition: fp.index, ErrorCode: fp.code,
		HighWatermark: fp.offsets.HighWatermark, LastStableOffset: fp.offsets.LastStable, LogStartOffset: fp.offsets.LogStart,
		PreferredReadReplica: -1, DivergingEpoch: fp.divergingEpoch, DivergingEndOffset: fp.divergingEnd,
		CurrentLeaderID: -1, CurrentLeaderEpoch: -1, RecordBytes: fp.slice.Len + int64(len(fp.converted)),
	}
	switch {
	case fp.code != errNone:
		if fp.part == nil {
			r.Aborted = noAborted
		}
	case req.Isolation == readCommitted:
		for _, t := range fp.slice.Aborted {
			aborted = append(aborted, codec.FetchAborted{ProducerID: t.ProducerID, FirstOffset: t.FirstOffset})
		}
		if r.Aborted = aborted; r.Aborted == nil {
			r.Aborted = noAborted
		}
	}
	return aborted
}

var noAborted = []codec.FetchAborted{}

func (f *fetch) sameTopic(a, b *fetchPart) bool {
	if f.rq.version >= firstIDFetch {
		return a.ref.ID == b.ref.ID
	}
	return string(a.ref.Name) == string(b.ref.Name)
}

// runs counts the runs of partitions of one topic, each a topic of the answer.
func (f *fetch) runs() int {
	n := 0
	for i, fp := range f.parts {
		if i == 0 || !f.sameTopic(f.parts[i-1], fp) {
			n++
		}
	}
	return n
}

func (f *fetch) runLength(i int) int {
	n := 1
	for i+n < len(f.parts) && f.sameTopic(f.parts[i], f.parts[i+n]) {
		n++
	}
	return n
}

// fetch gives a fetch from the pool.
func (l *loop) fetch() *fetch {
	f := l.fetches
	if f == nil {
		f = &fetch{loop: l}
		f.timer.Fire = f.expire
		return f
	}
	l.fetches, f.next = f.next, nil
	return f
}

// freeFetch takes a fetch back. Its woken flag stays: see purgatory.go.
func (l *loop) freeFetch(f *fetch) {
	l.nl.Cancel(&f.timer)
	clear(f.parts[:cap(f.parts)])
	clear(f.own)
	f.parts, f.own = f.parts[:0], f.own[:0]
	if cap(f.own) > keptParts {
		f.own = nil
	}
	if cap(f.parts) > 4*keptParts {
		f.parts = nil
	}
	f.rq, f.session, f.create, f.parked = nil, nil, false, false
	f.first, f.holds, f.converting = 0, false, false
	f.prev, f.next = nil, l.fetches
	l.fetches = f
}

// wait is how long a fetch may wait.
func (f *fetch) wait() time.Duration {
	return time.Duration(min(int64(f.req.MaxWaitMillis), math.MaxInt32)) * time.Millisecond
}

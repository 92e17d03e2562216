package broker

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/group/txn"
)

// WriteTxnMarkers: v0–2. Between brokers; the admin client sends it too, to end
// a hanging transaction (kafka-transactions abort, KIP-664).
var writeTxnMarkersAPI = api{
	key: keyWriteTxnMarkers, name: "WriteTxnMarkers", min: 0, max: 2,
	resource: auth.ResCluster, operation: auth.OpClusterAction, place: onLoop, decode: true,
	handle: decoded(handleWriteTxnMarkers),
}

func handleWriteTxnMarkers(rq *request, r *kmsg.WriteTxnMarkersRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	// Kafka lets in whoever may act for the cluster or alter it.
	denied := !rq.could(auth.OpClusterAction, auth.ResCluster, auth.ClusterName) && !rq.mayCluster(auth.OpAlter)
	var mu sync.Mutex
	left := 1 // the walk below
	finish := func() {
		mu.Lock()
		left--
		last := left == 0
		mu.Unlock()
		if last {
			rq.reply(resp)
		}
	}
	resp.Markers = make([]kmsg.WriteTxnMarkersResponseMarker, len(r.Markers))
	for i := range r.Markers {
		m := &r.Markers[i]
		out := &resp.Markers[i]
		*out = kmsg.NewWriteTxnMarkersResponseMarker()
		out.ProducerID = m.ProducerID
		out.Topics = make([]kmsg.WriteTxnMarkersResponseMarkerTopic, len(m.Topics))
		for j, t := range m.Topics {
			out.Topics[j] = kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			out.Topics[j].Topic = t.Topic
			out.Topics[j].Partitions = make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(t.Partitions))
			for k, p := range t.Partitions {
				part := &out.Topics[j].Partitions[k]
				*part = kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				part.Partition = p
				switch {
				case denied:
					part.ErrorCode = errClusterAuthorization
				case m.ProducerID == -1 || m.ProducerEpoch == -1:
					part.ErrorCode = errUnknownServer // as Kafka, which cannot make such a marker
				case rq.s.b.logOf(t.Topic, p) == nil:
					part.ErrorCode = errUnknownTopicOrPartition
				case m.ProducerEpoch < -1:
					part.ErrorCode = errInvalidProducerEpoch
				default:
					mu.Lock()
					left++
					mu.Unlock()
					rq.s.b.sendMarker(t.Topic, p, txn.Marker{ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch,
						CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Committed, V2: m.TransactionVersion >= 2}, func(err error) {
						part.ErrorCode = codeOf(err)
						finish()
					})
				}
			}
		}
	}
	finish()
	return nil
}

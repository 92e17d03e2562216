package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// ElectLeaders: v0–2. The only replica leads, and it is the preferred one:
// every partition that exists answers ELECTION_NOT_NEEDED. Null topics ask for
// the partitions that need an election, of which there is none. Election types
// are 0, the preferred replica, and 1, any (v1+).
var electLeadersAPI = api{
	key: keyElectLeaders, name: "ElectLeaders", min: 0, max: 2, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onLoop, decode: true, handle: decoded(handleElectLeaders),
}

func handleElectLeaders(rq *request, r *kmsg.ElectLeadersRequest) kmsg.Response {
	resp := kmsg.NewPtrElectLeadersResponse()
	whole := errNone // v0 has no code for the whole request
	switch {
	case !rq.mayCluster(auth.OpAlter):
		whole = errClusterAuthorization
	case rq.version >= 1 && r.ElectionType != 0 && r.ElectionType != 1:
		whole = errInvalidRequest
	}
	resp.ErrorCode = whole
	rq.failed = whole != errNone
	for i := range r.Topics {
		in := &r.Topics[i]
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = in.Topic
		t := rq.s.b.topics.get(in.Topic)
		for _, index := range in.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			var err error
			switch {
			case whole != errNone:
				err = refuse(whole, "The election was refused as a whole.")
			case t == nil:
				err = refuse(errUnknownTopicOrPartition, "No such topic as "+in.Topic)
			case t.partition(index) == nil:
				err = refuse(errUnknownTopicOrPartition, "The topic has no such partition.")
			default:
				err = refuse(errElectionNotNeeded, "The partition's only replica leads it.")
			}
			p.Partition, p.ErrorCode, p.ErrorMessage = index, codeOf(err), message(err)
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// CreatePartitions: v0–3. A topic can only grow.
var createPartitionsAPI = api{
	key: keyCreatePartitions, name: "CreatePartitions", min: 0, max: 3, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleCreatePartitions),
}

func handleCreatePartitions(rq *request, r *kmsg.CreatePartitionsRequest) kmsg.Response {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	times := map[string]int{}
	for i := range r.Topics {
		times[r.Topics[i].Topic]++
	}
	ctx, cancel := withTimeout(r.TimeoutMillis)
	defer cancel()
	for i := range r.Topics {
		in := &r.Topics[i]
		if times[in.Topic] == 0 {
			continue
		}
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = in.Topic
		var err error
		switch {
		case times[in.Topic] > 1:
			times[in.Topic] = 0
			err = refuse(errInvalidRequest, "Duplicate topic name.")
		case !rq.mayTopic(auth.OpAlter, in.Topic):
			err = refuse(errTopicAuthorization, "Topic authorization failed.")
		default:
			if err = rq.s.b.checkGrowth(in); err == nil {
				err = rq.grow(ctx, in, r.ValidateOnly)
			}
		}
		out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
		rq.failed = rq.failed || err != nil
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// grow asks the quota, lets the topic grow and audits it.
func (rq *request) grow(ctx context.Context, in *kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	var had int32
	if t := rq.s.b.cluster.Image().Topic(in.Topic); t != nil {
		had = t.Partitions
	}
	if had > 0 && in.Count > had && !validateOnly {
		if err := rq.mutate(int(in.Count-had), rq.version >= 3); err != nil {
			return err
		}
	}
	if err := rq.s.b.growTopic(ctx, in.Topic, in.Count, validateOnly); err != nil || validateOnly {
		return err
	}
	rq.changed("Topic:"+in.Topic, map[string]string{"partitions": fmt.Sprint(had)}, map[string]string{"partitions": fmt.Sprint(in.Count)})
	return nil
}

// checkGrowth checks the assignments of new partitions, if there are any.
func (b *Broker) checkGrowth(in *kmsg.CreatePartitionsRequestTopic) error {
	if in.Assignment == nil {
		return nil
	}
	var have int32
	if t := b.cluster.Image().Topic(in.Topic); t != nil {
		have = t.Partitions
	} else {
		return refuse(errUnknownTopicOrPartition, "This server does not host this topic-partition.")
	}
	if more := int(in.Count - have); more >= 0 && len(in.Assignment) != more {
		return refuse(errInvalidReplicaAssignment, fmt.Sprintf("Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(in.Assignment)))
	}
	for _, a := range in.Assignment {
		if err := b.checkReplicas(a.Replicas); err != nil {
			return err
		}
	}
	return nil
}

package broker

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

// DeleteTopics: v0–6. By name, or from v6 on by id.
var deleteTopicsAPI = api{
	key: keyDeleteTopics, name: "DeleteTopics", min: 0, max: 6, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDelete, place: onWorker, decode: true, handle: decoded(handleDeleteTopics),
}

func handleDeleteTopics(rq *request, r *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	topics := r.Topics
	for i := range r.TopicNames {
		topics = append(topics, kmsg.DeleteTopicsRequestTopic{Topic: &r.TopicNames[i]})
	}
	times := map[string]int{} // each name and id, as it stands in the request
	for i := range topics {
		times[deleteKey(&topics[i])]++
	}
	// A topic named by name and by id is refused once, by name.
	image := rq.s.b.cluster.Image()
	for i := range topics {
		if topics[i].Topic == nil || topics[i].TopicID != (logstore.TopicID{}) {
			continue
		}
		if t := image.Topic(*topics[i].Topic); t != nil && rq.mayTopic(auth.OpDescribe, t.Name) && times[deleteKey(&kmsg.DeleteTopicsRequestTopic{TopicID: t.ID})] > 0 {
			times[deleteKey(&kmsg.DeleteTopicsRequestTopic{TopicID: t.ID})] = 0
			times[deleteKey(&topics[i])] = 2
		}
	}
	for _, in := range topics {
		if times[deleteKey(&in)] == 0 {
			continue // answered
		}
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = in.Topic, in.TopicID
		var err error
		if times[deleteKey(&in)] > 1 {
			// Nothing is deleted that is named twice (ControllerApis.deleteTopics).
			err = refuse(errInvalidRequest, "Duplicate topic name or id.")
			times[deleteKey(&in)] = 0
		} else {
			err = rq.deleteOne(r, &in, &out)
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
			rq.failed = true
			if out.ErrorCode == errUnknownServer {
				rq.s.b.logger.Error("a topic could not be deleted", "error", err)
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// deleteKey tells apart what a request names.
func deleteKey(in *kmsg.DeleteTopicsRequestTopic) string {
	key := string(in.TopicID[:])
	if in.Topic != nil {
		key += *in.Topic
	}
	return key
}

func (rq *request) deleteOne(r *kmsg.DeleteTopicsRequest, in *kmsg.DeleteTopicsRequestTopic, out *kmsg.DeleteTopicsResponseTopic) error {
	b := rq.s.b
	image := b.cluster.Image()
	noID := in.TopicID == logstore.TopicID{}
	switch {
	case in.Topic != nil && !noID:
		return refuse(errInvalidRequest, "You may not specify both topic name and topic id.")
	case in.Topic == nil && noID:
		return refuse(errInvalidRequest, "Neither topic name nor id were specified.")
	case !b.settings.Load().deleteTopics:
		if rq.version < 3 {
			return refuse(errInvalidRequest, "Topic deletion is disabled.")
		}
		return refuse(errTopicDeletionDisabled, "Topic deletion is disabled (delete.topic.enable).")
	}
	var t *cluster.Topic
	if noID {
		if !rq.mayTopic(auth.OpDescribe, *in.Topic) {
			return refuse(errTopicAuthorization, "Topic authorization failed.")
		}
		if t = image.Topic(*in.Topic); t == nil {
			return refuse(errUnknownTopicOrPartition, "This server does not host this topic-partition.")
		}
		if !rq.mayTopic(auth.OpDelete, t.Name) {
			return refuse(errTopicAuthorization, "Topic authorization failed.")
		}
	} else {
		if t = image.TopicByID(in.TopicID); t == nil {
			return refuse(errUnknownTopicID, "This server does not host this topic ID.")
		}
		// Who may not describe the topic must not learn its name.
		if !rq.mayTopic(auth.OpDescribe, t.Name) || !rq.mayTopic(auth.OpDelete, t.Name) {
			return refuse(errTopicAuthorization, "Topic authorization failed.")
		}
	}
	out.Topic, out.TopicID = &t.Name, t.ID
	if err := rq.mutate(int(t.Partitions), rq.version >= 5); err != nil {
		return err
	}
	ctx, cancel := withTimeout(r.TimeoutMillis)
	defer cancel()
	if err := b.deleteTopic(ctx, t.ID); err != nil {
		return err
	}
	rq.changed("Topic:"+t.Name, map[string]string{"partitions": strconv.Itoa(int(t.Partitions))}, nil)
	return nil
}

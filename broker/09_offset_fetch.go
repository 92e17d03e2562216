package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// OffsetFetch: v0–10. v0 meant offsets in ZooKeeper and is refused; v0–7 ask
// for one group, v8+ for several; v10 names topics by id. Topics that the
// client may not describe are left out of an answer for all topics.
var offsetFetchAPI = api{
	key: keyOffsetFetch, name: "OffsetFetch", min: 0, max: 10, advertised: 0,
	resource: auth.ResGroup, operation: auth.OpDescribe, place: onLoop, decode: true, handle: decoded(handleOffsetFetch),
}

func handleOffsetFetch(rq *request, r *kmsg.OffsetFetchRequest) kmsg.Response {
	groups := r.Groups
	if rq.version < 8 {
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = r.Group
		if r.Topics != nil {
			g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		for _, t := range r.Topics {
			one := kmsg.NewOffsetFetchRequestGroupTopic()
			one.Topic, one.Partitions = t.Topic, t.Partitions
			g.Topics = append(g.Topics, one)
		}
		groups = []kmsg.OffsetFetchRequestGroup{g}
	}
	gather(len(groups), func(i int, done func(*kmsg.OffsetFetchResponseGroup)) {
		rq.fetchGroupOffsets(&groups[i], r.RequireStable, done)
	}, func(list []*kmsg.OffsetFetchResponseGroup) {
		resp := kmsg.NewPtrOffsetFetchResponse()
		for _, g := range list {
			resp.Groups = append(resp.Groups, *g)
		}
		if rq.version < 8 {
			oldOffsetFetch(resp, r, rq.version)
		}
		rq.reply(resp)
	})
	return nil
}

func (rq *request) fetchGroupOffsets(g *kmsg.OffsetFetchRequestGroup, stable bool, done func(*kmsg.OffsetFetchResponseGroup)) {
	code := errNone
	switch {
	case !rq.mayGroup(auth.OpDescribe, g.Group):
		code = errGroupAuthorization
	case rq.version == 0:
		code = errUnsupportedVersion
	}
	if code != errNone {
		out := kmsg.NewOffsetFetchResponseGroup()
		out.Group, out.ErrorCode = g.Group, code
		done(&out)
		return
	}
	if !rq.s.b.auth.Enabled() {
		rq.coordinator().OffsetFetchGroup(rq.client(), rq.version, g, stable, done)
		return
	}
	may := func(name string, id [16]byte) bool {
		n := rq.topicName(name, id)
		return n == "" || rq.mayTopic(auth.OpDescribe, n)
	}
	all := g.Topics == nil
	var denied []kmsg.OffsetFetchResponseGroupTopic
	if !all {
		kept := []kmsg.OffsetFetchRequestGroupTopic{}
		for _, t := range g.Topics {
			if may(t.Topic, t.TopicID) {
				kept = append(kept, t)
				continue
			}
			denied = append(denied, refuseOffsets(&t, errTopicAuthorization))
		}
		g.Topics = kept
	}
	could := rq.s.asNow()
	rq.coordinator().OffsetFetchGroup(rq.client(), rq.version, g, stable, func(out *kmsg.OffsetFetchResponseGroup) {
		if all {
			kept := out.Topics[:0]
			for _, t := range out.Topics {
				if n := rq.topicName(t.Topic, t.TopicID); n == "" || could(auth.OpDescribe, auth.ResTopic, n) {
					kept = append(kept, t)
				}
			}
			out.Topics = kept
		}
		if out.ErrorCode == errNone {
			out.Topics = append(out.Topics, denied...)
		}
		done(out)
	})
}

func refuseOffsets(t *kmsg.OffsetFetchRequestGroupTopic, code errCode) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	empty := ""
	for _, index := range t.Partitions {
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = index, -1, -1, &empty, code
		out.Partitions = append(out.Partitions, p)
	}
	return out
}

// oldOffsetFetch moves the one group's answer to where v0–7 have it; v0–1 have
// no place for the group's error but its partitions.
func oldOffsetFetch(resp *kmsg.OffsetFetchResponse, r *kmsg.OffsetFetchRequest, version int16) {
	g := resp.Groups[0]
	resp.Groups = nil
	resp.ErrorCode = g.ErrorCode
	if g.ErrorCode != errNone && version < 2 {
		for _, t := range r.Topics {
			named := kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions}
			g.Topics = append(g.Topics, refuseOffsets(&named, g.ErrorCode))
		}
	}
	for _, t := range g.Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			one := kmsg.NewOffsetFetchResponseTopicPartition()
			one.Partition, one.Offset, one.LeaderEpoch, one.Metadata, one.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			out.Partitions = append(out.Partitions, one)
		}
		resp.Topics = append(resp.Topics, out)
	}
}

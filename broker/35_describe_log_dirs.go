package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DescribeLogDirs: v0–5. Null topics mean all.
var describeLogDirsAPI = api{
	key: keyDescribeLogDirs, name: "DescribeLogDirs", min: 0, max: 5, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onWorker, decode: true, handle: decoded(handleDescribeLogDirs),
}

func handleDescribeLogDirs(rq *request, r *kmsg.DescribeLogDirsRequest) kmsg.Response {
	b := rq.s.b
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	if !rq.mayCluster(auth.OpDescribe) {
		// Before v3 there is no code to tell it by (KAFKA-12333).
		if rq.version >= 3 {
			resp.ErrorCode = errClusterAuthorization
		}
		rq.failed = true
		return resp
	}
	wanted := map[string][]int32{}
	for _, t := range r.Topics {
		wanted[t.Topic] = append(wanted[t.Topic], t.Partitions...)
	}
	topics := b.topics.all()
	slices.SortFunc(topics, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	for _, dir := range b.store.Dirs() {
		d := kmsg.NewDescribeLogDirsResponseDir()
		d.Dir, d.TotalBytes, d.UsableBytes = dir.Path, int64(dir.Total), int64(dir.Free)
		if !dir.Online {
			d.ErrorCode = errStorage
			resp.Dirs = append(resp.Dirs, d)
			continue
		}
		for _, t := range topics {
			parts, named := wanted[t.name]
			if r.Topics != nil && !named {
				continue
			}
			one := kmsg.NewDescribeLogDirsResponseDirTopic()
			one.Topic = t.name
			for _, p := range *t.parts.Load() {
				if p.log.Dir() != dir.Path || r.Topics != nil && !slices.Contains(parts, p.index) {
					continue
				}
				q := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				q.Partition, q.Size = p.index, p.log.Size()
				one.Partitions = append(one.Partitions, q)
			}
			if len(one.Partitions) > 0 {
				d.Topics = append(d.Topics, one)
			}
		}
		resp.Dirs = append(resp.Dirs, d)
	}
	return resp
}

package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/logstore"
)

// AlterReplicaLogDirs: v0–2. A partition that lies in the directory already
// needs no move; one that lies in another would, and that is refused with
// UNSUPPORTED_VERSION, since logs are not moved between directories here.
var alterReplicaLogDirsAPI = api{
	key: keyAlterReplicaLogDirs, name: "AlterReplicaLogDirs", min: 0, max: 2, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleAlterReplicaLogDirs),
}

func handleAlterReplicaLogDirs(rq *request, r *kmsg.AlterReplicaLogDirsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	may := rq.mayCluster(auth.OpAlter)
	dirs := rq.s.b.store.Dirs()
	for i := range r.Dirs {
		dir := &r.Dirs[i]
		for j := range dir.Topics {
			in := &dir.Topics[j]
			at := slices.IndexFunc(resp.Topics, func(t kmsg.AlterReplicaLogDirsResponseTopic) bool { return t.Topic == in.Topic })
			if at < 0 {
				one := kmsg.NewAlterReplicaLogDirsResponseTopic()
				one.Topic = in.Topic
				resp.Topics = append(resp.Topics, one)
				at = len(resp.Topics) - 1
			}
			for _, index := range in.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition, p.ErrorCode = index, errClusterAuthorization
				if may {
					p.ErrorCode = rq.s.b.moveCode(dirs, dir.Dir, in.Topic, index)
				}
				rq.failed = rq.failed || p.ErrorCode != errNone
				resp.Topics[at].Partitions = append(resp.Topics[at].Partitions, p)
			}
		}
	}
	return resp
}

// moveCode is the answer to moving a partition to a directory.
func (b *Broker) moveCode(dirs []logstore.DirInfo, dir, topic string, index int32) errCode {
	at := slices.IndexFunc(dirs, func(d logstore.DirInfo) bool { return d.Path == dir })
	t := b.topics.get(topic)
	switch {
	case at < 0:
		return errLogDirNotFound
	case !dirs[at].Online:
		return errStorage
	case t == nil || t.partition(index) == nil:
		return errUnknownTopicOrPartition
	case t.partition(index).log.Dir() == dir:
		return errNone
	}
	return errUnsupportedVersion
}

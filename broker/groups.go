package broker

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/logstore"
)

// The group APIs are thin: authorise as Kafka's KafkaApis does, hand the
// request to the coordinator, answer when it calls back. The coordinator keeps
// the order of a group's requests; a connection's next request begins as soon
// as the coordinator has this one.

// startGroups starts the group coordinator.
func (b *Broker) startGroups() {
	b.groups.Store(group.New(group.Options{
		Cluster: b.cluster,
		Log: func(partition int32) *logstore.Log {
			if t := b.topics.get(cluster.OffsetsTopic); t != nil {
				if p := t.partition(partition); p != nil {
					return p.log
				}
			}
			return nil
		},
		EnsureTopic: b.ensureOffsetsTopic,
		Describable: func(c group.Client, topic string) bool {
			p, err := auth.ParsePrincipal(c.Principal)
			if err != nil {
				return false
			}
			return b.auth.Authorize(&p, c.Host, auth.OpDescribe, auth.ResTopic, []byte(topic))
		},
		Go: b.goroutines.Go, Logger: b.logger,
	}))
}

// topicsChanged tells the coordinators of changed topics whose logs are open,
// or closed, by now.
func (b *Broker) topicsChanged(old *cluster.Image) {
	if groups := b.groups.Load(); groups != nil {
		groups.TopicsChanged(old, b.cluster.Image())
	}
}

// coordinator is the group coordinator; it runs whenever requests are served.
func (rq *request) coordinator() *group.Coordinator { return rq.s.b.groups.Load() }

// client says who sends the request.
func (rq *request) client() group.Client {
	return group.Client{ID: rq.clientID, Host: rq.s.host, Principal: rq.s.principal.String(), Listener: rq.s.listener.name}
}

// refused answers a group request that was refused before its coordinator.
func refused[R kmsg.Response](rq *request, resp R) kmsg.Response {
	rq.failed = true
	return resp
}

// topicName is the topic that a request names by name or by id.
func (rq *request) topicName(name string, id [16]byte) string {
	if name != "" {
		return name
	}
	if t := rq.s.b.cluster.Image().TopicByID(id); t != nil {
		return t.Name
	}
	return ""
}

// gather calls start for 0 … n-1 and finish when each has called done, from
// whatever goroutine the last one is called on.
func gather[T any](n int, start func(i int, done func(T)), finish func([]T)) {
	out := make([]T, n)
	if n == 0 {
		finish(out)
		return
	}
	var left atomic.Int64
	left.Store(int64(n))
	for i := range n {
		start(i, func(v T) {
			out[i] = v
			if left.Add(-1) == 0 {
				finish(out)
			}
		})
	}
}

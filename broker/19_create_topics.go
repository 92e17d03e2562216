package broker

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// CreateTopics: v0–7.
//
// -1 partitions or replicas mean the broker's defaults. Assignments are taken
// when they put every partition on this broker, the only one there is. v5+
// tells the configuration of what was made, v7 the id.
var createTopicsAPI = api{
	key: keyCreateTopics, name: "CreateTopics", min: 0, max: 7, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpCreate, place: onWorker, decode: true, handle: decoded(handleCreateTopics),
}

func handleCreateTopics(rq *request, r *kmsg.CreateTopicsRequest) kmsg.Response {
	b := rq.s.b
	resp := kmsg.NewPtrCreateTopicsResponse()
	times := map[string]int{}
	for i := range r.Topics {
		times[r.Topics[i].Topic]++
	}
	all := rq.could(auth.OpCreate, auth.ResCluster, auth.ClusterName)
	var specs []topicSpec
	var answers []int // of each spec
	for i := range r.Topics {
		in := &r.Topics[i]
		if times[in.Topic] == 0 {
			continue // a duplicate that was answered
		}
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = in.Topic
		var err error
		spec := topicSpec{}
		switch {
		case times[in.Topic] > 1:
			err = refuse(errInvalidRequest, "Duplicate topic name.")
			times[in.Topic] = 0
		case !all && !rq.mayTopic(auth.OpCreate, in.Topic):
			err = refuse(errTopicAuthorization, "Authorization failed.")
		case in.Topic == cluster.MetadataTopic:
			err = refuse(errInvalidRequest, "Creation of internal topic "+in.Topic+" is prohibited.")
		default:
			if spec, err = b.specOf(in); err == nil && !r.ValidateOnly {
				err = rq.mutateNew(&spec)
			}
		}
		if err != nil {
			rq.createError(&out, err)
		} else {
			answers = append(answers, len(resp.Topics))
			specs = append(specs, spec)
		}
		resp.Topics = append(resp.Topics, out)
	}
	ctx, cancel := withTimeout(r.TimeoutMillis)
	defer cancel()
	var errs []error
	if r.ValidateOnly {
		image := b.cluster.Image()
		for i := range specs {
			err := b.checkSpec(&specs[i])
			if err == nil {
				err = checkNew(image, specs[i].name)
			}
			errs = append(errs, err)
		}
	} else if len(specs) > 0 {
		errs = b.createTopics(ctx, specs)
	}
	for i := range specs {
		out := &resp.Topics[answers[i]]
		if errs[i] != nil {
			rq.createError(out, errs[i])
			continue
		}
		rq.describeCreated(out, &specs[i])
		if !r.ValidateOnly {
			rq.changed("Topic:"+specs[i].name, nil, describeSpec(&specs[i]))
		}
	}
	return resp
}

// mutateNew asks the quota for a topic that could be made.
func (rq *request) mutateNew(s *topicSpec) error {
	if rq.s.b.checkSpec(s) != nil || checkNew(rq.s.b.cluster.Image(), s.name) != nil {
		return nil // it is refused for that
	}
	return rq.mutate(int(s.partitions), rq.version >= 6)
}

// describeSpec is a topic for the audit log.
func describeSpec(s *topicSpec) map[string]string {
	m := map[string]string{"partitions": fmt.Sprint(s.partitions)}
	maps.Copy(m, s.configs)
	return m
}

func (rq *request) createError(out *kmsg.CreateTopicsResponseTopic, err error) {
	out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
	out.NumPartitions, out.ReplicationFactor = -1, -1
	out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	rq.failed = true
	if out.ErrorCode == errUnknownServer {
		rq.s.b.logger.Error("a topic could not be created", "topic", out.Topic, "error", err)
	}
}

// specOf reads what a client wants a topic to be.
func (b *Broker) specOf(in *kmsg.CreateTopicsRequestTopic) (topicSpec, error) {
	set := b.settings.Load()
	s := topicSpec{name: in.Topic, partitions: in.NumPartitions, replication: in.ReplicationFactor, internal: isInternal(in.Topic)}
	if len(in.Configs) > 0 {
		s.configs = make(map[string]string, len(in.Configs))
	}
	for _, c := range in.Configs {
		if c.Value == nil {
			return s, refuse(errInvalidConfig, fmt.Sprintf("Null value not supported for topic configs: %s", c.Name))
		}
		s.configs[c.Name] = *c.Value // of two the last counts
	}
	if len(in.ReplicaAssignment) == 0 {
		if s.partitions == -1 {
			s.partitions = set.numPartitions
		}
		if s.replication == -1 {
			s.replication = set.replication
		}
		return s, nil
	}
	if in.ReplicationFactor != -1 {
		return s, refuse(errInvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if in.NumPartitions != -1 {
		return s, refuse(errInvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	seen := make(map[int32]bool, len(in.ReplicaAssignment))
	for _, a := range in.ReplicaAssignment {
		if seen[a.Partition] {
			return s, refuse(errInvalidReplicaAssignment, fmt.Sprintf("Found multiple manual partition assignments for partition %d", a.Partition))
		}
		seen[a.Partition] = true
		if err := b.checkReplicas(a.Replicas); err != nil {
			return s, err
		}
	}
	for i := range int32(len(seen)) {
		if !seen[i] {
			return s, refuse(errInvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
	}
	s.partitions, s.replication = int32(len(seen)), 1
	return s, nil
}

// checkReplicas takes the one list that this cluster can have.
func (b *Broker) checkReplicas(replicas []int32) error {
	if len(replicas) == 1 && replicas[0] == b.opt.NodeID {
		return nil
	}
	return refuse(errInvalidReplicaAssignment, fmt.Sprintf("The manual partition assignment includes brokers %v; the cluster has broker %d only.", replicas, b.opt.NodeID))
}

// describeCreated fills in what v5+ and v7 tell.
func (rq *request) describeCreated(out *kmsg.CreateTopicsResponseTopic, s *topicSpec) {
	b := rq.s.b
	image := b.cluster.Image()
	if t := image.Topic(s.name); t != nil {
		out.TopicID = t.ID
	}
	if !rq.could(auth.OpDescribeConfigs, auth.ResTopic, s.name) {
		out.ConfigErrorCode, out.NumPartitions, out.ReplicationFactor = errTopicAuthorization, -1, -1
		return
	}
	out.NumPartitions, out.ReplicationFactor = s.partitions, 1
	if rq.version < 5 {
		return
	}
	for i := range cluster.TopicConfigs {
		key := cluster.TopicConfigs[i].Name
		v, ok := image.Config(cluster.Resource{Type: cluster.ResourceTopic, Name: s.name}, key, b.static)
		if !ok {
			continue
		}
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Source, c.IsSensitive = key, int8(v.Source), v.Def.Sensitive()
		if value, set := s.configs[key]; set { // with validate_only the image does not have it
			v.Value, v.Null = value, false
			c.Source = int8(cluster.SourceTopic)
		}
		if !v.Null && !v.Def.Sensitive() {
			c.Value = &v.Value
		}
		out.Configs = append(out.Configs, c)
	}
}

// message is an error's sentence for the client.
func message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}

// withTimeout is a context for a request's timeout_ms; less than a second is a
// second, since the disk may need it.
func withTimeout(ms int32) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), max(time.Duration(ms)*time.Millisecond, time.Second))
}

package broker

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeConfigs: v0–4. Topics, brokers ("" is the cluster-wide default),
// loggers, groups and client metrics. Null names mean every key; v1+ tells where values
// come from, v3+ types and documentation.
var describeConfigsAPI = api{
	key: keyDescribeConfigs, name: "DescribeConfigs", min: 0, max: 4, advertised: 0,
	resource: auth.ResTopic, operation: auth.OpDescribeConfigs, place: onWorker, decode: true, handle: decoded(handleDescribeConfigs),
}

func handleDescribeConfigs(rq *request, r *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	for i := range r.Resources {
		in := &r.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		res := cluster.Resource{Type: cluster.ResourceType(in.ResourceType), Name: in.ResourceName}
		err := rq.checkResource(res, auth.OpDescribeConfigs)
		if err == nil {
			out.Configs = rq.describe(r, res, in.ConfigNames)
		} else {
			rq.failed = true
		}
		out.ErrorCode, out.ErrorMessage = codeOf(err), message(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// checkResource authorises op on a resource whose configuration is asked for
// or changed, and checks that it exists.
func (rq *request) checkResource(res cluster.Resource, op auth.Operation) error {
	b := rq.s.b
	switch res.Type {
	case cluster.ResourceTopic:
		if !rq.mayTopic(op, res.Name) {
			return refuse(errTopicAuthorization, "Topic authorization failed.")
		}
		if err := cluster.CheckTopicName(res.Name); err != nil {
			return &apiError{errInvalidTopic, err.Error()}
		}
		if b.cluster.Image().Topic(res.Name) == nil {
			return refuse(errUnknownTopicOrPartition, "This server does not host this topic-partition.")
		}
		return nil
	case cluster.ResourceGroup:
		if !rq.mayGroup(op, res.Name) {
			return refuse(errGroupAuthorization, "Group authorization failed.")
		}
		if res.Name == "" {
			return refuse(errInvalidRequest, "Default group resources are not allowed.")
		}
		return nil
	}
	if !rq.mayCluster(op) {
		return refuse(errClusterAuthorization, "Cluster authorization failed.")
	}
	switch res.Type {
	case cluster.ResourceBroker:
		if res.Name != "" && res.Name != strconv.Itoa(int(b.opt.NodeID)) {
			return refuse(errInvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %s", b.opt.NodeID, res.Name))
		}
		return nil
	case cluster.ResourceBrokerLogger:
		return b.checkLoggerResource(res.Name)
	case cluster.ResourceClientMetrics:
		if res.Name == "" {
			return refuse(errInvalidRequest, "A client metrics subscription needs a name.")
		}
		return nil
	}
	return refuse(errInvalidRequest, fmt.Sprintf("Configurations of resource type %d are not served.", res.Type))
}

// describe lists the keys of a resource; nil names mean all.
func (rq *request) describe(r *kmsg.DescribeConfigsRequest, res cluster.Resource, names []string) []kmsg.DescribeConfigsResponseResourceConfig {
	b := rq.s.b
	if res.Type == cluster.ResourceBrokerLogger {
		return b.describeLoggers(r, names)
	}
	image := b.cluster.Image()
	var keys []string
	for _, d := range cluster.ConfigDefs(res.Type) {
		keys = append(keys, d.Name)
	}
	// Keys with a listener's prefix have no row of their own.
	var prefixed []string
	if res.Type == cluster.ResourceBroker {
		for _, set := range []map[string]string{b.static, image.DynamicConfigs(res)} {
			for key := range set {
				if d := cluster.FindConfig(res.Type, key); d != nil && d.Name != key && !slices.Contains(prefixed, key) {
					prefixed = append(prefixed, key)
				}
			}
		}
		slices.Sort(prefixed)
	}
	out := []kmsg.DescribeConfigsResponseResourceConfig{}
	for _, key := range append(keys, prefixed...) {
		if names != nil && !slices.Contains(names, key) {
			continue
		}
		if v, ok := image.Config(res, key, b.static); ok {
			out = append(out, configEntry(r, res, key, v))
		}
	}
	return out
}

func configEntry(r *kmsg.DescribeConfigsRequest, res cluster.Resource, key string, v cluster.ConfigValue) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.IsSensitive = key, v.Def.Sensitive()
	c.Source, c.IsDefault = kmsg.ConfigSource(v.Source), v.Source == cluster.SourceDefault
	c.ReadOnly = res.Type == cluster.ResourceBroker && !v.Def.Changes()
	c.ConfigType = kmsg.ConfigType(v.Def.Type)
	if !v.Null && !c.IsSensitive {
		value := v.Def.Parsed(v.Value) // synonyms are told as they were set (ConfigHelperUtils.java)
		c.Value = &value
	}
	if r.IncludeDocumentation {
		c.Documentation = &v.Def.Doc
	}
	if r.IncludeSynonyms {
		for i := range v.Synonyms {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Source = v.Synonyms[i].Name, kmsg.ConfigSource(v.Synonyms[i].Source)
			if !v.Synonyms[i].Null && !c.IsSensitive {
				s.Value = &v.Synonyms[i].Value
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, s)
		}
	}
	return c
}

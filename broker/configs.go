package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// configEdit is one change of a key.
type configEdit struct {
	key   string
	op    int8
	value *string
}

// The operations of IncrementalAlterConfigs.
const (
	opSet      = 0
	opDelete   = 1
	opAppend   = 2
	opSubtract = 3
)

func resourceOf(kind int8, name string) cluster.Resource {
	return cluster.Resource{Type: cluster.ResourceType(kind), Name: name}
}

// alter changes what is set on a resource; replace first takes away everything
// that is set. Waits: not on a loop.
func (rq *request) alter(res cluster.Resource, edits []configEdit, replace, validateOnly, twice bool) (err error) {
	defer func() {
		if err != nil {
			rq.failed = true
			// A value that a broker cannot have is an INVALID_REQUEST (ConfigAdminManager).
			if res.Type == cluster.ResourceBroker && errors.Is(err, cluster.ErrConfigValue) {
				err = refuse(errInvalidRequest, err.Error())
			}
		}
	}()
	b := rq.s.b
	if twice {
		return refuse(errInvalidRequest, "The resource is named more than once.")
	}
	if res == (cluster.Resource{Type: cluster.ResourceTopic}) {
		return refuse(errInvalidRequest, "Default topic resources are not allowed.")
	}
	if err := rq.checkResource(res, auth.OpAlterConfigs); err != nil {
		return err
	}
	if err := checkEdits(edits); err != nil {
		return err
	}
	if res.Type == cluster.ResourceBrokerLogger {
		return rq.alterLoggers(res, edits, replace, validateOnly)
	}
	var before, after map[string]string
	err = b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
		if res.Type == cluster.ResourceTopic && image.Topic(res.Name) == nil {
			return nil, refuse(errUnknownTopicOrPartition, "This server does not host this topic-partition.")
		}
		old := image.DynamicConfigs(res)
		next, err := apply(image, res, old, edits, replace, b.static)
		if err != nil {
			return nil, err
		}
		if err := b.cluster.CheckSet(image, res, next); err != nil {
			return nil, err
		}
		if validateOnly {
			return nil, nil
		}
		before, after = old, next
		return difference(res, old, next), nil
	})
	if err != nil || validateOnly {
		return err
	}
	rq.changed(configName(res), before, after)
	switch res.Type {
	case cluster.ResourceTopic:
		if t := b.topics.get(res.Name); t != nil {
			b.reconfigure(t)
		}
	case cluster.ResourceBroker:
		// Any topic may fall back to a broker key.
		for _, t := range b.topics.all() {
			b.reconfigure(t)
		}
	}
	return nil
}

// configName is a resource for the audit log.
func configName(res cluster.Resource) string {
	kind := map[cluster.ResourceType]string{cluster.ResourceTopic: "Topic", cluster.ResourceBroker: "Broker",
		cluster.ResourceBrokerLogger: "BrokerLogger", cluster.ResourceGroup: "Group", cluster.ResourceClientMetrics: "ClientMetrics"}[res.Type]
	return kind + ":" + firstOf(res.Name, "<default>")
}

// checkEdits checks what does not depend on what is set.
func checkEdits(edits []configEdit) error {
	seen := map[string]bool{}
	for _, e := range edits {
		switch {
		case seen[e.key]:
			return refuse(errInvalidRequest, fmt.Sprintf("Configuration %s is named more than once.", e.key))
		case e.op < opSet || e.op > opSubtract:
			return refuse(errInvalidRequest, fmt.Sprintf("Configuration %s: operation %d is not known.", e.key, e.op))
		case e.value == nil && e.op != opDelete:
			return refuse(errInvalidRequest, fmt.Sprintf("Null value not supported for : %s", e.key))
		}
		seen[e.key] = true
	}
	return nil
}

// apply gives what is set on the resource after the edits.
func apply(image *cluster.Image, res cluster.Resource, old map[string]string, edits []configEdit, replace bool, static map[string]string) (map[string]string, error) {
	next := map[string]string{}
	if !replace {
		maps.Copy(next, old)
	}
	for _, e := range edits {
		def := cluster.FindConfig(res.Type, e.key)
		// What Kafka changes at run time and Chronik does not can still be
		// deleted: tools tidy up so.
		tidy := e.op == opDelete && def != nil && def.Dynamic != cluster.ReadOnly
		if err := cluster.CheckScope(res, e.key); err != nil && !tidy {
			return nil, err
		}
		switch e.op {
		case opDelete:
			delete(next, e.key)
		case opSet:
			next[e.key] = *e.value
		default:
			if def.Type != cluster.TypeList {
				return nil, refuse(errInvalidConfig, fmt.Sprintf("Config value append and subtract are for lists; %s is none.", e.key))
			}
			current, set := next[e.key]
			if !set {
				if v, ok := image.Config(res, e.key, static); ok {
					current = v.Value
				}
			}
			next[e.key] = editList(current, *e.value, e.op)
		}
	}
	return next, nil
}

func editList(current, value string, op int8) string {
	list := cluster.SplitList(current)
	for _, item := range cluster.SplitList(value) {
		at := slices.Index(list, item)
		switch {
		case op == opAppend && at < 0:
			list = append(list, item)
		case op == opSubtract && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return strings.Join(list, ",")
}

// difference is the records that lead from old to next.
func difference(res cluster.Resource, old, next map[string]string) []cluster.Record {
	var records []cluster.Record
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if was, set := old[key]; !set || was != next[key] {
			records = append(records, cluster.ConfigRecord{Resource: res, Key: key, Value: next[key]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, set := next[key]; !set {
			records = append(records, cluster.ConfigRecord{Resource: res, Key: key, Delete: true})
		}
	}
	return records
}

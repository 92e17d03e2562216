package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeClientQuotas: v0–1 (KIP-546). A filter names parts of entities: a
// part with a name, the default, or any; strict leaves out entities with other
// parts.
var describeClientQuotasAPI = api{
	key: keyDescribeClientQuotas, name: "DescribeClientQuotas", min: 0, max: 1, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribeConfigs, place: onWorker, decode: true, handle: decoded(handleDescribeClientQuotas),
}

// The ways in which a filter's component matches.
const (
	matchExact   = 0
	matchDefault = 1
	matchAny     = 2
)

func handleDescribeClientQuotas(rq *request, r *kmsg.DescribeClientQuotasRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	err := checkQuotaFilter(r)
	if !rq.mayCluster(auth.OpDescribeConfigs) {
		err = refuse(errClusterAuthorization, "Cluster authorization failed.")
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = codeOf(err), message(err)
		return refused(rq, resp)
	}
	quotas := rq.s.b.cluster.Image().Quotas
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	for e, values := range quotas {
		if !quotaMatches(r, e) {
			continue
		}
		entry := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, kind := range []string{entityUser, entityClientID, entityIP} {
			if p := entityPart(&e, kind); p.Set {
				one := kmsg.NewDescribeClientQuotasResponseEntryEntity()
				one.Type = kind
				if !p.Default {
					one.Name = &p.Name
				}
				entry.Entity = append(entry.Entity, one)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			v := kmsg.NewDescribeClientQuotasResponseEntryValue()
			v.Key, v.Value = key, values[key]
			entry.Values = append(entry.Values, v)
		}
		resp.Entries = append(resp.Entries, entry)
	}
	slices.SortFunc(resp.Entries, func(a, b kmsg.DescribeClientQuotasResponseEntry) int {
		return strings.Compare(fmt.Sprint(entryText(a)), fmt.Sprint(entryText(b)))
	})
	return resp
}

// entryText orders entries; a default comes before every name.
func entryText(e kmsg.DescribeClientQuotasResponseEntry) (list []string) {
	for _, p := range e.Entity {
		list = append(list, p.Type)
		if p.Name != nil {
			list = append(list, "="+*p.Name)
		}
	}
	return list
}

func checkQuotaFilter(r *kmsg.DescribeClientQuotasRequest) error {
	seen := map[string]bool{}
	for i := range r.Components {
		c := &r.Components[i]
		var scratch cluster.QuotaEntity
		switch {
		case c.EntityType == "":
			return refuse(errInvalidRequest, "Unexpected empty filter component entity type")
		case seen[c.EntityType]:
			return refuse(errInvalidRequest, "Duplicate filter component entity type")
		case entityPart(&scratch, c.EntityType) == nil:
			return refuse(errUnsupportedVersion, "Custom entity type "+c.EntityType+" not supported")
		case c.MatchType < matchExact || c.MatchType > matchAny:
			return refuse(errInvalidRequest, fmt.Sprintf("Unexpected match type: %d", c.MatchType))
		case c.MatchType == matchExact && c.Match == nil, c.MatchType != matchExact && c.Match != nil:
			return refuse(errInvalidRequest, "A match is needed for exact components, and for no others")
		}
		seen[c.EntityType] = true
	}
	if seen[entityIP] && len(seen) > 1 {
		return refuse(errInvalidRequest, "Invalid entity filter component combination, IP filter component should not be used with user or clientId filter component.")
	}
	return nil
}

func quotaMatches(r *kmsg.DescribeClientQuotasRequest, e cluster.QuotaEntity) bool {
	matched := 0
	for i := range r.Components {
		c := &r.Components[i]
		p := entityPart(&e, c.EntityType)
		ok := p.Set
		switch c.MatchType {
		case matchExact:
			ok = ok && !p.Default && p.Name == *c.Match
		case matchDefault:
			ok = ok && p.Default
		}
		if !ok {
			return false
		}
		matched++
	}
	parts := 0
	for _, p := range []cluster.QuotaPart{e.User, e.ClientID, e.IP} {
		if p.Set {
			parts++
		}
	}
	return !r.Strict || matched == parts
}

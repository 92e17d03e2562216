package broker

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// The parts of a quota's entity, as clients name them (ClientQuotaEntity).
const (
	entityUser     = "user"
	entityClientID = "client-id"
	entityIP       = "ip"
)

// entityPart is the part of an entity of the type, or nil.
func entityPart(e *cluster.QuotaEntity, kind string) *cluster.QuotaPart {
	switch kind {
	case entityUser:
		return &e.User
	case entityClientID:
		return &e.ClientID
	case entityIP:
		return &e.IP
	}
	return nil
}

// addPart adds a part to an entity; a nil name is the default.
func addPart(e *cluster.QuotaEntity, kind string, name *string) error {
	p := entityPart(e, kind)
	switch {
	case p == nil:
		return refuse(errInvalidRequest, fmt.Sprintf("Unhandled client quota entity type: %s", kind))
	case p.Set:
		return refuse(errInvalidRequest, fmt.Sprintf("Duplicate client quota entity type: %s", kind))
	case name != nil && *name == "":
		return refuse(errInvalidRequest, fmt.Sprintf("Empty %s not supported", kind))
	}
	p.Set, p.Default = true, name == nil
	if name == nil {
		return nil
	}
	p.Name = *name
	if kind == entityIP {
		ip, err := netip.ParseAddr(*name)
		if err != nil {
			return refuse(errInvalidRequest, fmt.Sprintf("%s is not a valid IP or resolvable host.", *name))
		}
		p.Name = ip.Unmap().WithZone("").String()
	}
	return nil
}

// checkEntity refuses an entity that no quota can belong to.
func checkEntity(e cluster.QuotaEntity) error {
	switch {
	case e == (cluster.QuotaEntity{}):
		return refuse(errInvalidRequest, "Invalid empty client quota entity")
	case e.IP.Set && (e.User.Set || e.ClientID.Set):
		return refuse(errInvalidRequest, "Invalid quota entity combination, IP entity should not be combined with user or clientId")
	}
	return nil
}

// checkQuota refuses a key that the entity cannot have and a value that the key
// cannot (ClientQuotaControlManager.validateQuotaKeyValue).
func checkQuota(e cluster.QuotaEntity, key string, value float64, remove bool) error {
	whole, most := false, math.Inf(1)
	switch {
	case e.IP.Set && key == auth.QuotaConnections.Key():
		whole, most = true, math.MaxInt32
	case !e.IP.Set && (key == auth.QuotaProduce.Key() || key == auth.QuotaFetch.Key()):
		whole, most = true, math.MaxInt64
	case !e.IP.Set && (key == auth.QuotaRequest.Key() || key == auth.QuotaMutation.Key()):
	default:
		return refuse(errInvalidRequest, fmt.Sprintf("Invalid configuration key %s", key))
	}
	switch {
	case remove:
		return nil
	case math.IsNaN(value) || math.IsInf(value, 0) || value <= 0 && !(e.IP.Set && value == 0):
		return refuse(errInvalidRequest, fmt.Sprintf("Quota %s must be greater than 0", key))
	case whole && math.Abs(value-math.Round(value)) > 1e-6:
		return refuse(errInvalidRequest, fmt.Sprintf("%s must be a whole number", key))
	case value > most:
		return refuse(errInvalidRequest, fmt.Sprintf("Proposed value for %s is too large for its type.", key))
	}
	return nil
}

// entityName is an entity for the audit log.
func entityName(e cluster.QuotaEntity) string {
	s := "Quota"
	for _, kind := range []string{entityUser, entityClientID, entityIP} {
		switch p := entityPart(&e, kind); {
		case p.Default:
			s += ":" + kind + "=<default>"
		case p.Set:
			s += ":" + kind + "=" + p.Name
		}
	}
	return s
}

func describeQuotas(values map[string]float64) map[string]string {
	if len(values) == 0 {
		return nil
	}
	m := make(map[string]string, len(values))
	for key, v := range values {
		m[key] = fmt.Sprint(v)
	}
	return m
}

package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// AlterClientQuotas: v0–1 (KIP-546). Each entry is a change of its own; the
// entries that hold are stored together.
var alterClientQuotasAPI = api{
	key: keyAlterClientQuotas, name: "AlterClientQuotas", min: 0, max: 1, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlterConfigs, place: onWorker, decode: true, handle: decoded(handleAlterClientQuotas),
}

// maxQuotaEntities bounds the entities that have quotas.
const maxQuotaEntities = 200_000

func handleAlterClientQuotas(rq *request, r *kmsg.AlterClientQuotasRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	may := rq.mayCluster(auth.OpAlterConfigs)
	entities := make([]cluster.QuotaEntity, len(r.Entries))
	errs := make([]error, len(r.Entries))
	for i := range r.Entries {
		if !may {
			errs[i] = refuse(errClusterAuthorization, "Cluster authorization failed.")
			continue
		}
		entities[i], errs[i] = readQuotaEntry(&r.Entries[i])
	}
	if may && !r.ValidateOnly {
		rq.storeQuotas(r, entities, errs)
	}
	for i := range r.Entries {
		one := kmsg.NewAlterClientQuotasResponseEntry()
		one.ErrorCode, one.ErrorMessage = codeOf(errs[i]), message(errs[i])
		for _, p := range r.Entries[i].Entity {
			e := kmsg.NewAlterClientQuotasResponseEntryEntity()
			e.Type, e.Name = p.Type, p.Name
			one.Entity = append(one.Entity, e)
		}
		rq.failed = rq.failed || errs[i] != nil
		resp.Entries = append(resp.Entries, one)
	}
	return resp
}

func readQuotaEntry(in *kmsg.AlterClientQuotasRequestEntry) (e cluster.QuotaEntity, err error) {
	for _, p := range in.Entity {
		if err := addPart(&e, p.Type, p.Name); err != nil {
			return e, err
		}
	}
	if err := checkEntity(e); err != nil {
		return e, err
	}
	seen := map[string]bool{}
	for _, op := range in.Ops {
		if seen[op.Key] {
			return e, refuse(errInvalidRequest, "Duplicate quota key "+op.Key)
		}
		seen[op.Key] = true
		if err := checkQuota(e, op.Key, op.Value, op.Remove); err != nil {
			return e, err
		}
	}
	return e, nil
}

// storeQuotas commits the entries without an error.
func (rq *request) storeQuotas(r *kmsg.AlterClientQuotasRequest, entities []cluster.QuotaEntity, errs []error) {
	before := make([]map[string]float64, len(entities))
	err := rq.s.b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
		var records []cluster.Record
		n := len(image.Quotas)
		for i, e := range entities {
			if errs[i] != nil {
				continue
			}
			before[i] = image.Quotas[e]
			if before[i] == nil {
				n++
			}
			for _, op := range r.Entries[i].Ops {
				records = append(records, cluster.QuotaRecord{Entity: e, Key: op.Key, Value: op.Value, Delete: op.Remove})
			}
		}
		if n > max(maxQuotaEntities, len(image.Quotas)) {
			return nil, refuse(errPolicyViolation, "There are as many entities with quotas as may be.")
		}
		return records, nil
	})
	image := rq.s.b.cluster.Image()
	for i, e := range entities {
		switch {
		case errs[i] != nil:
		case err != nil:
			errs[i] = err
		default:
			rq.changed(entityName(e), describeQuotas(before[i]), describeQuotas(image.Quotas[e]))
		}
	}
}

package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DeleteAcls: v0–3. Each filter tells what it selected; all goes in one change.
var deleteACLsAPI = api{
	key: keyDeleteACLs, name: "DeleteAcls", min: 0, max: 3, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleDeleteACLs),
}

func handleDeleteACLs(rq *request, r *kmsg.DeleteACLsRequest) kmsg.Response {
	resp := kmsg.NewPtrDeleteACLsResponse()
	all := rq.mayACLs(auth.OpAlter)
	filters := make([]auth.ACLFilter, len(r.Filters))
	errs := make([]error, len(r.Filters))
	for i := range r.Filters {
		in := &r.Filters[i]
		filters[i] = auth.ACLFilter{
			ResourceType: auth.ResourceType(in.ResourceType), Name: in.ResourceName, PatternType: int8(in.ResourcePatternType),
			Principal: in.Principal, Host: in.Host, Operation: auth.Operation(in.Operation), Permission: int8(in.PermissionType),
		}
		if rq.version == 0 {
			filters[i].PatternType = auth.PatternLiteral
		}
		if errs[i] = all; all == nil {
			errs[i] = filters[i].Check()
		}
	}
	var found [][]cluster.ACL
	var gone []cluster.ACL
	failed := all
	if failed == nil {
		failed = rq.s.b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
			found, gone = make([][]cluster.ACL, len(filters)), nil
			var records []cluster.Record
			for _, a := range image.ACLs {
				some := false
				for i := range filters {
					if errs[i] == nil && filters[i].Matches(a) {
						found[i], some = append(found[i], a), true
					}
				}
				if some {
					gone = append(gone, a)
					records = append(records, cluster.ACLRemovedRecord{ACL: a})
				}
			}
			return records, nil
		})
	}
	for i := range r.Filters {
		if errs[i] == nil {
			errs[i] = failed
		}
		one := kmsg.NewDeleteACLsResponseResult()
		one.ErrorCode, one.ErrorMessage = codeOf(errs[i]), message(errs[i])
		if errs[i] == nil {
			for _, a := range found[i] {
				m := kmsg.NewDeleteACLsResponseResultMatchingACL()
				m.ResourceType, m.ResourceName, m.ResourcePatternType = kmsg.ACLResourceType(a.ResourceType), a.ResourceName, kmsg.ACLResourcePatternType(a.PatternType)
				m.Principal, m.Host, m.Operation, m.PermissionType = a.Principal, a.Host, kmsg.ACLOperation(a.Operation), kmsg.ACLPermissionType(a.Permission)
				one.MatchingACLs = append(one.MatchingACLs, m)
			}
		}
		rq.failed = rq.failed || errs[i] != nil
		resp.Results = append(resp.Results, one)
	}
	if failed == nil {
		for _, a := range gone {
			rq.changed("Acl", auth.DescribeACL(a), nil)
		}
	}
	return resp
}

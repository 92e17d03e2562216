package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// CreateAcls: v0–3. Each ACL is checked by itself; those that hold are stored
// as one change. One that is there already is no error.
var createACLsAPI = api{
	key: keyCreateACLs, name: "CreateAcls", min: 0, max: 3, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleCreateACLs),
}

// maxACLs bounds what every decision's rules are built from.
const maxACLs = 100_000

func handleCreateACLs(rq *request, r *kmsg.CreateACLsRequest) kmsg.Response {
	resp := kmsg.NewPtrCreateACLsResponse()
	all := rq.mayACLs(auth.OpAlter)
	var wanted []cluster.ACL
	var places []int
	errs := make([]error, len(r.Creations))
	for i := range r.Creations {
		in := &r.Creations[i]
		acl := cluster.ACL{
			ResourceType: int8(in.ResourceType), ResourceName: in.ResourceName, PatternType: int8(in.ResourcePatternType),
			Principal: in.Principal, Host: in.Host, Operation: int8(in.Operation), Permission: int8(in.PermissionType),
		}
		if rq.version == 0 {
			acl.PatternType = auth.PatternLiteral
		}
		if errs[i] = all; all == nil {
			errs[i] = auth.CheckACL(acl)
		}
		if errs[i] == nil {
			wanted, places = append(wanted, acl), append(places, i)
		}
	}
	if err := rq.storeACLs(wanted); err != nil {
		for _, i := range places {
			errs[i] = err
		}
	}
	for _, err := range errs {
		one := kmsg.NewCreateACLsResponseResult()
		one.ErrorCode, one.ErrorMessage = codeOf(err), message(err)
		rq.failed = rq.failed || err != nil
		resp.Results = append(resp.Results, one)
	}
	return resp
}

func (rq *request) storeACLs(acls []cluster.ACL) error {
	if len(acls) == 0 {
		return nil
	}
	var fresh []cluster.ACL
	err := rq.s.b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
		fresh = fresh[:0]
		var records []cluster.Record
		for _, a := range acls {
			if !slices.Contains(image.ACLs, a) && !slices.Contains(fresh, a) {
				fresh = append(fresh, a)
				records = append(records, cluster.ACLRecord{ACL: a})
			}
		}
		if len(image.ACLs)+len(fresh) > maxACLs {
			return nil, refuse(errPolicyViolation, fmt.Sprintf("There would be more than %d ACLs.", maxACLs))
		}
		return records, nil
	})
	if err != nil {
		return err
	}
	for _, a := range fresh {
		rq.changed("Acl", nil, auth.DescribeACL(a))
	}
	return nil
}

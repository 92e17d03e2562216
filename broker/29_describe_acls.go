package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeAcls: v0–3. Lists the ACLs that a filter selects, by resource.
// Version 0 knows literal patterns only.
var describeACLsAPI = api{
	key: keyDescribeACLs, name: "DescribeAcls", min: 0, max: 3, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onWorker, decode: true, handle: decoded(handleDescribeACLs),
}

var errNoAuthorizer = refuse(errSecurityDisabled, "No Authorizer is configured.")

// mayACLs authorises an ACL API.
func (rq *request) mayACLs(op auth.Operation) error {
	switch {
	case !rq.s.b.auth.Enabled():
		return errNoAuthorizer
	case !rq.mayCluster(op):
		return refuse(errClusterAuthorization, "Cluster authorization failed.")
	}
	return nil
}

func handleDescribeACLs(rq *request, r *kmsg.DescribeACLsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeACLsResponse()
	filter := auth.ACLFilter{
		ResourceType: auth.ResourceType(r.ResourceType), Name: r.ResourceName, PatternType: int8(r.ResourcePatternType),
		Principal: r.Principal, Host: r.Host, Operation: auth.Operation(r.Operation), Permission: int8(r.PermissionType),
	}
	if rq.version == 0 {
		filter.PatternType = auth.PatternLiteral
	}
	err := rq.mayACLs(auth.OpDescribe)
	if err == nil {
		err = filter.Check()
	}
	if err != nil {
		rq.failed = true
		resp.ErrorCode, resp.ErrorMessage = codeOf(err), message(err)
		return resp
	}
	at := map[cluster.ACL]int{} // resource to its place in the answer
	for _, a := range rq.s.b.cluster.Image().ACLs {
		if !filter.Matches(a) {
			continue
		}
		res := cluster.ACL{ResourceType: a.ResourceType, ResourceName: a.ResourceName, PatternType: a.PatternType}
		i, known := at[res]
		if !known {
			i = len(resp.Resources)
			at[res] = i
			one := kmsg.NewDescribeACLsResponseResource()
			one.ResourceType, one.ResourceName = kmsg.ACLResourceType(a.ResourceType), a.ResourceName
			one.ResourcePatternType = kmsg.ACLResourcePatternType(a.PatternType)
			resp.Resources = append(resp.Resources, one)
		}
		one := kmsg.NewDescribeACLsResponseResourceACL()
		one.Principal, one.Host = a.Principal, a.Host
		one.Operation, one.PermissionType = kmsg.ACLOperation(a.Operation), kmsg.ACLPermissionType(a.Permission)
		resp.Resources[i].ACLs = append(resp.Resources[i].ACLs, one)
	}
	return resp
}

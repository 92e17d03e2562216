package broker

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
)

// DescribeUserScramCredentials: v0 (KIP-554). Which mechanisms users have and
// with how many iterations, never a secret. No users asked for means all.
var describeUserSCRAMAPI = api{
	key: keyDescribeUserSCRAM, name: "DescribeUserScramCredentials", min: 0, max: 0, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpDescribe, place: onWorker, decode: true, handle: decoded(handleDescribeUserSCRAM),
}

func handleDescribeUserSCRAM(rq *request, r *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	if !rq.mayCluster(auth.OpDescribe) {
		err := refuse(errClusterAuthorization, "Cluster authorization failed.")
		resp.ErrorCode, resp.ErrorMessage = err.code, message(err)
		return refused(rq, resp)
	}
	byUser := map[string][]kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{}
	for key, c := range rq.s.b.cluster.Image().Scram {
		info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		info.Mechanism, info.Iterations = key.Mechanism, c.Iterations
		byUser[key.User] = append(byUser[key.User], info)
	}
	times := map[string]int{}
	var users []string
	for _, u := range r.Users {
		if times[u.Name]++; times[u.Name] == 1 {
			users = append(users, u.Name)
		}
	}
	if len(r.Users) == 0 {
		for user := range byUser {
			users = append(users, user)
		}
		slices.Sort(users)
	}
	for _, user := range users {
		one := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		one.User = user
		var err error
		switch {
		case times[user] > 1:
			err = refuse(errDuplicateResource, "Cannot describe SCRAM credentials for the same user twice in a single request: "+user)
		case byUser[user] == nil:
			err = refuse(errResourceNotFound, "Attempt to describe a user credential that does not exist: "+user)
		default:
			one.CredentialInfos = byUser[user]
			slices.SortFunc(one.CredentialInfos, func(a, b kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo) int {
				return cmp.Compare(a.Mechanism, b.Mechanism)
			})
		}
		one.ErrorCode, one.ErrorMessage = codeOf(err), message(err)
		resp.Results = append(resp.Results, one)
	}
	return resp
}

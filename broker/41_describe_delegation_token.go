package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// DescribeDelegationToken: v0–3. One's own tokens, and those that DESCRIBE on
// the token or DESCRIBE_TOKENS on its owner opens. No owners (null) means all,
// an empty list none.
var describeDelegationTokenAPI = api{
	key: keyDescribeDelegationToken, name: "DescribeDelegationToken", min: 0, max: 3, advertised: 0,
	resource: auth.ResToken, operation: auth.OpDescribe, place: onWorker, decode: true, handle: decoded(handleDescribeDelegationToken),
}

func handleDescribeDelegationToken(rq *request, r *kmsg.DescribeDelegationTokenRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeDelegationTokenResponse()
	var owners []auth.Principal
	if r.Owners != nil {
		owners = []auth.Principal{}
	}
	for _, o := range r.Owners {
		owners = append(owners, auth.Principal{Type: o.PrincipalType, Name: o.PrincipalName})
	}
	err := rq.mayTokens()
	var list []cluster.Token
	if err == nil {
		list, err = rq.s.b.security.tokens.Describe(rq.s.b.cluster.Image(), rq.s.principal, owners, func(t *cluster.Token) bool {
			return rq.could(auth.OpDescribe, auth.ResToken, t.ID) || rq.could(auth.OpDescribeTokens, auth.ResUser, t.Owner)
		})
	}
	if err != nil {
		resp.ErrorCode = codeOf(err)
		return refused(rq, resp)
	}
	for _, t := range list {
		one := kmsg.NewDescribeDelegationTokenResponseTokenDetail()
		one.PrincipalType, one.PrincipalName = principalParts(t.Owner)
		one.TokenRequesterPrincipalType, one.TokenRequesterPrincipalName = principalParts(t.Requester)
		one.IssueTimestamp, one.ExpiryTimestamp, one.MaxTimestamp = t.IssuedMs, t.ExpiryMs, t.MaxMs
		one.TokenID, one.HMAC = t.ID, t.HMAC
		for _, who := range t.Renewers {
			p := kmsg.NewDescribeDelegationTokenResponseTokenDetailRenewer()
			p.PrincipalType, p.PrincipalName = principalParts(who)
			one.Renewers = append(one.Renewers, p)
		}
		resp.TokenDetails = append(resp.TokenDetails, one)
	}
	return resp
}

// principalParts takes a stored principal apart.
func principalParts(s string) (kind, name string) {
	p, err := auth.ParsePrincipal(s)
	if err != nil {
		return "", s // nothing else is ever stored
	}
	return p.Type, p.Name
}

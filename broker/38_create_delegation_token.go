package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// CreateDelegationToken: v0–3 (KIP-48). v3 may make a token for another owner
// (KIP-373), which takes CREATE_TOKENS on that user.
var createDelegationTokenAPI = api{
	key: keyCreateDelegationToken, name: "CreateDelegationToken", min: 0, max: 3, advertised: 0,
	resource: auth.ResUser, operation: auth.OpCreateTokens, place: onWorker, decode: true, handle: decoded(handleCreateDelegationToken),
}

// mayTokens refuses token requests on connections that must not make them.
func (rq *request) mayTokens() error {
	return auth.TokensAllowed(rq.s.principal, rq.s.listener.protocol == Plaintext)
}

func handleCreateDelegationToken(rq *request, r *kmsg.CreateDelegationTokenRequest) kmsg.Response {
	resp := kmsg.NewPtrCreateDelegationTokenResponse()
	requester := rq.s.principal
	owner := requester
	if name := r.OwnerPrincipalName; rq.version >= 3 && name != nil && *name != "" {
		owner = &auth.Principal{Type: auth.UserType, Name: *name}
		if r.OwnerPrincipalType != nil && *r.OwnerPrincipalType != "" {
			owner.Type = *r.OwnerPrincipalType
		}
	}
	resp.PrincipalType, resp.PrincipalName = owner.Type, owner.Name
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = requester.Type, requester.Name
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = -1, -1, -1
	resp.HMAC = []byte{}
	token, err := rq.createToken(r, owner)
	if err != nil {
		resp.ErrorCode = codeOf(err)
		return refused(rq, resp)
	}
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = token.IssuedMs, token.ExpiryMs, token.MaxMs
	resp.TokenID, resp.HMAC = token.ID, token.HMAC
	rq.changed("DelegationToken:"+token.ID, nil, auth.DescribeToken(token))
	return resp
}

func (rq *request) createToken(r *kmsg.CreateDelegationTokenRequest, owner *auth.Principal) (token cluster.Token, err error) {
	if err := rq.mayTokens(); err != nil {
		return token, err
	}
	if !owner.Is(rq.s.principal) && !rq.may(auth.OpCreateTokens, auth.ResUser, owner.String()) {
		return token, refuse(errTokenAuthorization, "Delegation Token authorization failed.")
	}
	var renewers []auth.Principal
	for _, p := range r.Renewers {
		renewers = append(renewers, auth.Principal{Type: p.PrincipalType, Name: p.PrincipalName})
	}
	s := rq.s.b.security
	token, err = s.tokens.Create(rq.s.b.cluster.Image(), rq.s.principal, owner, renewers, r.MaxLifetimeMillis, time.Now())
	if err != nil {
		return token, err
	}
	return token, rq.storeToken(token)
}

func (rq *request) storeToken(token cluster.Token) error {
	return rq.s.b.cluster.Commit(context.Background(), func(*cluster.Image) ([]cluster.Record, error) {
		return []cluster.Record{cluster.TokenRecord{Token: token}}, nil
	})
}

// changeToken looks a token up and stores what change makes of it, as one step.
func (rq *request) changeToken(change func(image *cluster.Image) (token cluster.Token, remove bool, err error)) (token cluster.Token, err error) {
	if err := rq.mayTokens(); err != nil {
		return token, err
	}
	var before cluster.Token
	var remove bool
	err = rq.s.b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
		var err error
		if token, remove, err = change(image); err != nil {
			return nil, err
		}
		before = image.Tokens[token.ID]
		if remove {
			return []cluster.Record{cluster.TokenRemovedRecord{ID: token.ID}}, nil
		}
		return []cluster.Record{cluster.TokenRecord{Token: token}}, nil
	})
	if err != nil {
		return token, err
	}
	after := auth.DescribeToken(token)
	if remove {
		after = nil
	}
	rq.changed("DelegationToken:"+token.ID, auth.DescribeToken(before), after)
	return token, nil
}

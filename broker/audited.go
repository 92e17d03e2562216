package broker

import (
	"context"
	"time"

	"github.com/chronik-stream/chronik/auth"
)

// changed notes an administrative change that has been made, before it is
// answered. It waits while the audit log is behind, until the broker closes.
// Not on a loop.
func (rq *request) changed(resource string, before, after map[string]string) {
	b := rq.s.b
	if b.security.audit == nil {
		return
	}
	// The audit log's own end ends the waiting.
	err := b.security.audit.Changed(context.Background(), time.Now(), rq.where(), rq.s.principal,
		auth.Change{API: rq.api.name, Resource: resource, Before: before, After: after})
	if err != nil {
		b.logger.Error("a change has no audit line", "api", rq.api.name, "resource", resource, "error", err)
	}
}

func (rq *request) where() auth.Where {
	return auth.Where{Host: rq.s.host, Listener: rq.s.listener.name, ClientID: rq.clientID}
}

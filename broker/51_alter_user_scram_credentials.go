package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
)

// AlterUserScramCredentials: v0 (KIP-554). The client sends a salted password,
// of which what a server needs is kept. A user may be named once; the changes
// of a request are one change.
var alterUserSCRAMAPI = api{
	key: keyAlterUserSCRAM, name: "AlterUserScramCredentials", min: 0, max: 0, advertised: 0,
	resource: auth.ResCluster, operation: auth.OpAlter, place: onWorker, decode: true, handle: decoded(handleAlterUserSCRAM),
}

// maxCredentials bounds the users that are held in memory.
const maxCredentials = 200_000

// scramChange is what one user's change comes to.
type scramChange struct {
	user   string
	err    error
	remove bool
	key    cluster.ScramKey
	next   cluster.ScramCredential
	before map[string]string
}

func handleAlterUserSCRAM(rq *request, r *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	changes := scramChanges(r)
	if !rq.mayCluster(auth.OpAlter) {
		for i := range changes {
			changes[i].err = refuse(errClusterAuthorization, "Cluster authorization failed.")
		}
	} else if err := rq.applySCRAM(changes); err != nil {
		for i := range changes {
			changes[i].err = err
		}
	}
	for i := range changes {
		c := &changes[i]
		one := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		one.User, one.ErrorCode, one.ErrorMessage = c.user, codeOf(c.err), message(c.err)
		resp.Results = append(resp.Results, one)
		if c.err != nil {
			rq.failed = true
			continue
		}
		var after map[string]string
		if !c.remove {
			after = auth.DescribeScram(auth.ScramMechanism(c.key.Mechanism), c.next)
		}
		rq.changed("User:"+c.user, c.before, after)
	}
	return resp
}

// scramChanges reads a request; each user has one change, or an error.
func scramChanges(r *kmsg.AlterUserSCRAMCredentialsRequest) []scramChange {
	var list []scramChange
	at := map[string]int{}
	add := func(c scramChange) {
		if i, twice := at[c.user]; twice {
			list[i].err = refuse(errDuplicateResource, "A user credential cannot be altered twice in the same request")
			return
		}
		at[c.user] = len(list)
		list = append(list, c)
	}
	for i := range r.Deletions {
		in := &r.Deletions[i]
		c := scramChange{user: in.Name, remove: true, key: cluster.ScramKey{User: in.Name, Mechanism: in.Mechanism}}
		// The number of iterations and the salt are not a deletion's: any that hold.
		c.err = auth.CheckCredential(in.Name, auth.ScramMechanism(in.Mechanism), auth.MinIterations, []byte{0})
		add(c)
	}
	for i := range r.Upsertions {
		in := &r.Upsertions[i]
		c := scramChange{user: in.Name, key: cluster.ScramKey{User: in.Name, Mechanism: in.Mechanism}}
		c.next, c.err = auth.CredentialFromSalted(in.Name, auth.ScramMechanism(in.Mechanism), in.Iterations, in.Salt, in.SaltedPassword)
		add(c)
	}
	return list
}

// applySCRAM stores the changes that hold; the others get their errors.
func (rq *request) applySCRAM(changes []scramChange) error {
	return rq.s.b.cluster.Commit(context.Background(), func(image *cluster.Image) ([]cluster.Record, error) {
		var records []cluster.Record
		n := len(image.Scram)
		for i := range changes {
			c := &changes[i]
			if c.err != nil {
				continue
			}
			old, known := image.Scram[c.key]
			c.before = nil
			if known {
				c.before = auth.DescribeScram(auth.ScramMechanism(c.key.Mechanism), old)
			}
			switch {
			case c.remove && !known:
				c.err = refuse(errResourceNotFound, "Attempt to delete a user credential that does not exist")
			case c.remove:
				records = append(records, cluster.ScramRemovedRecord{Key: c.key})
			case !known && n >= maxCredentials:
				c.err = refuse(errPolicyViolation, "There are as many user credentials as may be.")
			default:
				if !known {
					n++
				}
				records = append(records, cluster.ScramRecord{Key: c.key, Credential: c.next})
			}
		}
		return records, nil
	})
}

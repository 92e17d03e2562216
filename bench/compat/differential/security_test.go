package differential

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Both brokers run without an authorizer and without SASL: here is what they
// say then. With them, bench/compat/attack and the security cases of
// bench/compat look closer.

func TestSaslHandshake(t *testing.T) {
	compare(t, 17, func(v int16) (out []Case) {
		for _, mechanism := range []string{"", "PLAIN", "SCRAM-SHA-256", "NONE"} {
			one(&out, "mechanism "+mechanism, v, kmsg.NewPtrSASLHandshakeRequest(), func(r *kmsg.SASLHandshakeRequest) { r.Mechanism = mechanism })
		}
		return out
	})
}

func TestSaslAuthenticate(t *testing.T) {
	compare(t, 36, func(v int16) (out []Case) {
		one(&out, "no bytes", v, kmsg.NewPtrSASLAuthenticateRequest(), nil)
		one(&out, "PLAIN", v, kmsg.NewPtrSASLAuthenticateRequest(), func(r *kmsg.SASLAuthenticateRequest) { r.SASLAuthBytes = []byte("\x00u\x00p") })
		return out
	})
}

func TestACLs(t *testing.T) {
	compare(t, 29, func(v int16) (out []Case) {
		one(&out, "all", v, kmsg.NewPtrDescribeACLsRequest(), func(r *kmsg.DescribeACLsRequest) {
			r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = 1, 1, 1, 1
		})
		return out
	})
	compare(t, 30, func(v int16) (out []Case) {
		one(&out, "one", v, kmsg.NewPtrCreateACLsRequest(), func(r *kmsg.CreateACLsRequest) {
			c := kmsg.NewCreateACLsRequestCreation()
			c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Principal, c.Host, c.Operation, c.PermissionType = 2, "t", 3, "User:u", "*", 3, 3
			r.Creations = append(r.Creations, c)
		})
		one(&out, "none", v, kmsg.NewPtrCreateACLsRequest(), nil)
		return out
	})
	compare(t, 31, func(v int16) (out []Case) {
		one(&out, "all", v, kmsg.NewPtrDeleteACLsRequest(), func(r *kmsg.DeleteACLsRequest) {
			f := kmsg.NewDeleteACLsRequestFilter()
			f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType = 1, 1, 1, 1
			r.Filters = append(r.Filters, f)
		})
		return out
	})
}

func TestDelegationTokens(t *testing.T) {
	compare(t, 38, func(v int16) (out []Case) {
		one(&out, "own", v, kmsg.NewPtrCreateDelegationTokenRequest(), func(r *kmsg.CreateDelegationTokenRequest) { r.MaxLifetimeMillis = -1 })
		return out
	})
	compare(t, 39, func(v int16) (out []Case) {
		one(&out, "none", v, kmsg.NewPtrRenewDelegationTokenRequest(), func(r *kmsg.RenewDelegationTokenRequest) { r.HMAC = []byte("x") })
		return out
	})
	compare(t, 40, func(v int16) (out []Case) {
		one(&out, "none", v, kmsg.NewPtrExpireDelegationTokenRequest(), func(r *kmsg.ExpireDelegationTokenRequest) { r.HMAC = []byte("x") })
		return out
	})
	compare(t, 41, func(v int16) (out []Case) {
		one(&out, "all", v, kmsg.NewPtrDescribeDelegationTokenRequest(), nil)
		return out
	})
}

func TestClientQuotas(t *testing.T) {
	compare(t, 49, func(v int16) (out []Case) {
		ask := func(name string, validate bool, entity [][2]string, key string, value float64, remove bool) {
			one(&out, name, v, kmsg.NewPtrAlterClientQuotasRequest(), func(r *kmsg.AlterClientQuotasRequest) {
				e := kmsg.NewAlterClientQuotasRequestEntry()
				for _, x := range entity {
					part := kmsg.AlterClientQuotasRequestEntryEntity{Type: x[0], Name: &x[1]}
					if x[1] == "default" {
						part.Name = nil
					}
					e.Entity = append(e.Entity, part)
				}
				e.Ops = append(e.Ops, kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value, Remove: remove})
				r.Entries, r.ValidateOnly = append(r.Entries, e), validate
			})
		}
		user, client, ip := [][2]string{{"user", "u"}}, [][2]string{{"client-id", "c"}}, [][2]string{{"ip", "127.0.0.9"}}
		for _, validate := range []bool{true, false} {
			ask(fmt.Sprintf("user, validated %v", validate), validate, user, "producer_byte_rate", 1000, false)
			ask(fmt.Sprintf("client, validated %v", validate), validate, client, "consumer_byte_rate", 1000, false)
			ask(fmt.Sprintf("ip, validated %v", validate), validate, ip, "connection_creation_rate", 5, false)
			ask(fmt.Sprintf("ip, other key, validated %v", validate), validate, ip, "producer_byte_rate", 5, false)
			ask(fmt.Sprintf("ip that is none, validated %v", validate), validate, [][2]string{{"ip", "1.2.3.4.5"}}, "connection_creation_rate", 5, false)
			ask(fmt.Sprintf("user, connections, validated %v", validate), validate, user, "connection_creation_rate", 5, false)
			ask(fmt.Sprintf("unknown key, validated %v", validate), validate, user, "what", 5, false)
			ask(fmt.Sprintf("negative, validated %v", validate), validate, user, "producer_byte_rate", -5, false)
			ask(fmt.Sprintf("fraction, validated %v", validate), validate, user, "producer_byte_rate", 5.5, false)
			ask(fmt.Sprintf("unknown entity, validated %v", validate), validate, [][2]string{{"what", "u"}}, "producer_byte_rate", 5, false)
			ask(fmt.Sprintf("no entity, validated %v", validate), validate, nil, "producer_byte_rate", 5, false)
			ask(fmt.Sprintf("empty name, validated %v", validate), validate, [][2]string{{"user", ""}}, "producer_byte_rate", 5, false)
			ask(fmt.Sprintf("user and ip, validated %v", validate), validate, append(ip, user...), "producer_byte_rate", 5, false)
			ask(fmt.Sprintf("taken away, validated %v", validate), validate, user, "producer_byte_rate", 0, true)
			ask(fmt.Sprintf("default, validated %v", validate), validate, [][2]string{{"user", "default"}}, "request_percentage", 200, false)
		}
		return out
	})
	compare(t, 48, func(v int16) (out []Case) {
		ask := func(name string, strict bool, parts ...kmsg.DescribeClientQuotasRequestComponent) {
			one(&out, fmt.Sprintf("%s, strict %v", name, strict), v, kmsg.NewPtrDescribeClientQuotasRequest(), func(r *kmsg.DescribeClientQuotasRequest) {
				r.Components, r.Strict = parts, strict
			})
		}
		u := "c"
		for _, strict := range []bool{true, false} {
			ask("all", strict)
			for kind := int8(-1); kind < 4; kind++ {
				ask(fmt.Sprintf("client by %d", kind), strict, kmsg.DescribeClientQuotasRequestComponent{EntityType: "client-id", MatchType: kmsg.QuotasMatchType(kind), Match: &u})
			}
			ask("unknown entity", strict, kmsg.DescribeClientQuotasRequestComponent{EntityType: "what", Match: &u})
			ask("no entity", strict, kmsg.DescribeClientQuotasRequestComponent{EntityType: "", Match: &u})
		}
		return out
	})
}

func TestSCRAM(t *testing.T) {
	compare(t, 51, func(v int16) (out []Case) {
		ask := func(name, user string, mechanism int8, iterations int32) {
			one(&out, name, v, kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), func(r *kmsg.AlterUserSCRAMCredentialsRequest) {
				r.Upsertions = append(r.Upsertions, kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: user, Mechanism: mechanism, Iterations: iterations,
					Salt: []byte("salt"), SaltedPassword: make([]byte, 32)})
			})
		}
		ask("one", "u", 1, 4096)
		ask("few iterations", "u", 1, 4095)
		ask("many iterations", "u", 1, 16385)
		ask("unknown mechanism", "u", 3, 4096)
		ask("mechanism 0", "u", 0, 4096)
		ask("no name", "", 1, 4096)
		one(&out, "not there", v, kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), func(r *kmsg.AlterUserSCRAMCredentialsRequest) {
			r.Deletions = append(r.Deletions, kmsg.AlterUserSCRAMCredentialsRequestDeletion{Name: "nobody", Mechanism: 1})
		})
		one(&out, "twice", v, kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), func(r *kmsg.AlterUserSCRAMCredentialsRequest) {
			d := kmsg.AlterUserSCRAMCredentialsRequestDeletion{Name: "nobody", Mechanism: 1}
			r.Deletions = append(r.Deletions, d, d)
		})
		one(&out, "nothing", v, kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), nil)
		return out
	})
	compare(t, 50, func(v int16) (out []Case) {
		ask := func(name string, users ...string) {
			one(&out, name, v, kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), func(r *kmsg.DescribeUserSCRAMCredentialsRequest) {
				for _, u := range users {
					r.Users = append(r.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: u})
				}
			})
		}
		ask("all")
		ask("unknown", "nobody")
		ask("twice", "u", "u")
		ask("no name", "")
		return out
	})
}

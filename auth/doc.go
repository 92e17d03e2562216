// Package auth decides who a connection is and what it may do: SASL
// mechanisms, TLS identities, ACLs, quotas, delegation tokens, credentials and
// the audit log. It denies by default.
//
// It is made of values that broker puts together; none of them knows a
// connection or a request:
//
//   - [SASL] starts an [Exchange] per authentication, a state machine that takes
//     the client's tokens one by one. PLAIN and OAUTHBEARER are Slow and go to a
//     worker; SCRAM runs on the loop.
//   - [TLS] is a listener's certificates and gives the principal of a client's.
//   - [Authorizer] follows the ACLs of the cluster's image and decides by them.
//   - [Quotas] follows the quotas; a connection keeps its [ClientQuotas].
//   - [Tokens] is the rules of delegation tokens, [NewCredential] and
//     [CredentialFromSalted] make what the metadata log keeps of a password.
//   - [Audit] writes one line for everything that somebody may have to answer
//     for, [Attempts] holds back addresses that guess.
//
// What a refused client is told and what the operator is told are kept apart:
// a [Step] carries Kafka's message for the one and a [Failure] with its kind for
// the other. No error, log line or audit line of this package holds a password,
// a bearer token, an HMAC, a salt or a key; TestRedaction (audit_test.go) holds it to that.
//
// Semantics are those of Apache Kafka 4.2; each file names the Kafka class that
// it follows and says where it does not.
//
// File map:
//
//	principal.go, resource.go, errors.go  principals, operations, resource types, codes
//	authorizer.go                         decisions
//	rules.go                              ACLs arranged for decisions
//	acl.go                                filters and checks of the ACL APIs
//	sasl.go, failure.go                   exchanges, sessions, why one failed
//	plain.go, recall.go                   PLAIN; passwords that were right before
//	scram.go, scram_message.go            SCRAM
//	oauth.go, jwt.go, jwks.go             OAUTHBEARER, bearer tokens, their keys
//	jaas.go                               PLAIN users from a JAAS entry
//	credential.go, derive.go              SCRAM credentials, the first admin user; PBKDF2 that lets others run
//	token.go                              delegation tokens (KIP-48)
//	tls.go, tls_material.go, pkcs8.go     certificates and keys, reloading
//	dn.go, principal_rules.go             from a certificate to a principal
//	quota.go, quota_client.go, rate.go    client quotas
//	audit.go, audit_event.go, audit_writer.go  the audit log
//	attempts.go                           failed authentications by address
package auth

// Package auth decides who a connection is and what it may do: SASL
// mechanisms, TLS identities, ACLs, quotas, delegation tokens, credentials and
// the audit log. It denies by default.
package auth

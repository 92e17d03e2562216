// Package acls gives Apache Kafka and Chronik the same random ACLs and asks both
// the same as users whom those concern: `make acl-differential`. The two must
// refuse the same with the same codes.
//
// What the rules themselves mean is held against a reference, and against what
// Kafka's authorizer said, in package auth; this is about what each API asks.
package acls

package cluster

import (
	"cmp"
	"slices"
	"strings"
)

// ScramKey is a user and mechanism (1 SCRAM-SHA-256, 2 SCRAM-SHA-512).
type ScramKey struct {
	User      string
	Mechanism int8
}

// ScramCredential is what the server keeps of a password (RFC 5802).
type ScramCredential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

// ACL is one binding, with Kafka's numbers for the enums.
type ACL struct {
	ResourceType int8   // 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user
	ResourceName string // "*" with literal is the wildcard
	PatternType  int8   // 3 literal, 4 prefixed
	Principal    string // "User:name"
	Host         string // "*" or an IP
	Operation    int8   // 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10 describe configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe tokens
	Permission   int8   // 2 deny, 3 allow
}

// compareACL is the order of Image.ACLs: by resource first, so that an
// authorizer finds a resource's bindings side by side.
func compareACL(a, b ACL) int {
	return cmp.Or(
		cmp.Compare(a.ResourceType, b.ResourceType),
		cmp.Compare(a.PatternType, b.PatternType),
		strings.Compare(a.ResourceName, b.ResourceName),
		strings.Compare(a.Principal, b.Principal),
		strings.Compare(a.Host, b.Host),
		cmp.Compare(a.Operation, b.Operation),
		cmp.Compare(a.Permission, b.Permission),
	)
}

func findACL(acls []ACL, a ACL) (int, bool) {
	return slices.BinarySearchFunc(acls, a, compareACL)
}

// QuotaEntity is what a client quota belongs to. A part that is not there is
// absent; Default is Kafka's <default>.
type QuotaEntity struct {
	User, ClientID, IP QuotaPart
}

// QuotaPart is one part of a QuotaEntity.
type QuotaPart struct {
	Set     bool
	Default bool
	Name    string
}

// Token is a delegation token (KIP-48).
type Token struct {
	ID          string
	HMAC        []byte
	Owner       string // "User:name"
	Requester   string
	Renewers    []string
	IssuedMs    int64
	ExpiryMs    int64
	MaxMs       int64
	ScramSHA256 ScramCredential
	ScramSHA512 ScramCredential
}

func compareScramKey(a, b ScramKey) int {
	return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
}

func compareQuotaEntity(a, b QuotaEntity) int {
	return cmp.Or(compareQuotaPart(a.User, b.User), compareQuotaPart(a.ClientID, b.ClientID), compareQuotaPart(a.IP, b.IP))
}

func compareQuotaPart(a, b QuotaPart) int {
	return cmp.Or(compareBool(a.Set, b.Set), compareBool(a.Default, b.Default), strings.Compare(a.Name, b.Name))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

package auth

import (
	"testing"

	"github.com/chronik-stream/chronik/cluster"
)

func TestACLFilter(t *testing.T) {
	lit := rule(PermissionAllow, "User:alice", OpRead, ResTopic, PatternLiteral, "orders", "*")
	pre := rule(PermissionAllow, "User:alice", OpRead, ResTopic, PatternPrefixed, "ord", "*")
	star := rule(PermissionDeny, "User:*", OpAll, ResTopic, PatternLiteral, "*", "192.0.2.1")
	group := rule(PermissionAllow, "User:alice", OpRead, ResGroup, PatternLiteral, "orders", "*")
	s := func(s string) *string { return &s }
	any := ACLFilter{ResourceType: ResAny, PatternType: PatternAny, Operation: OpAny, Permission: PermissionAny}
	with := func(f func(*ACLFilter)) ACLFilter { x := any; f(&x); return x }
	for _, tt := range []struct {
		name                  string
		f                     ACLFilter
		lit, pre, star, group bool
	}{
		{"any", any, true, true, true, true},
		{"type", with(func(f *ACLFilter) { f.ResourceType = ResGroup }), false, false, false, true},
		{"any pattern of the name", with(func(f *ACLFilter) { f.Name = s("orders") }), true, false, false, true},
		{"literal", with(func(f *ACLFilter) { f.Name, f.PatternType = s("orders"), PatternLiteral }), true, false, false, true},
		{"literal, all names", with(func(f *ACLFilter) { f.PatternType = PatternLiteral }), true, false, true, true},
		{"prefixed", with(func(f *ACLFilter) { f.Name, f.PatternType = s("ord"), PatternPrefixed }), false, true, false, false},
		{"match", with(func(f *ACLFilter) { f.ResourceType, f.Name, f.PatternType = ResTopic, s("orders"), PatternMatch }), true, true, true, false},
		{"match of a shorter name", with(func(f *ACLFilter) { f.ResourceType, f.Name, f.PatternType = ResTopic, s("or"), PatternMatch }), false, false, true, false},
		{"match of all names", with(func(f *ACLFilter) { f.PatternType = PatternMatch }), true, true, true, true},
		{"principal is text", with(func(f *ACLFilter) { f.Principal = s("User:alice") }), true, true, false, true},
		{"host is text", with(func(f *ACLFilter) { f.Host = s("192.0.2.1") }), false, false, true, false},
		{"operation is exact", with(func(f *ACLFilter) { f.Operation = OpRead }), true, true, false, true},
		{"permission", with(func(f *ACLFilter) { f.Permission = PermissionDeny }), false, false, true, false},
	} {
		for i, one := range []struct {
			acl  cluster.ACL
			want bool
		}{{lit, tt.lit}, {pre, tt.pre}, {star, tt.star}, {group, tt.group}} {
			if got := tt.f.Matches(one.acl); got != one.want {
				t.Errorf("%s: ACL %d selected: %v", tt.name, i, got)
			}
		}
		if err := tt.f.Check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, bad := range []ACLFilter{
		with(func(f *ACLFilter) { f.ResourceType = 0 }), with(func(f *ACLFilter) { f.ResourceType = 8 }), with(func(f *ACLFilter) { f.PatternType = 0 }),
		with(func(f *ACLFilter) { f.PatternType = 5 }), with(func(f *ACLFilter) { f.Operation = 0 }), with(func(f *ACLFilter) { f.Operation = 16 }),
		with(func(f *ACLFilter) { f.Permission = 0 }), with(func(f *ACLFilter) { f.Permission = 4 }),
	} {
		wantCode(t, "a bad filter", bad.Check(), CodeInvalidRequest)
	}
}

func TestCheckACL(t *testing.T) {
	good := rule(PermissionAllow, "User:alice", OpRead, ResTopic, PatternLiteral, "t", "*")
	with := func(f func(*cluster.ACL)) cluster.ACL { x := good; f(&x); return x }
	for name, acl := range map[string]cluster.ACL{
		"plain":   good,
		"cluster": with(func(a *cluster.ACL) { a.ResourceType, a.ResourceName = int8(ResCluster), ClusterName }),
		"odd":     with(func(a *cluster.ACL) { a.Operation = int8(OpClusterAction) }),
		"group":   with(func(a *cluster.ACL) { a.Principal = "Group:a:b" }),
	} {
		if err := CheckACL(acl); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, acl := range map[string]cluster.ACL{
		"type any":          with(func(a *cluster.ACL) { a.ResourceType = 1 }),
		"type":              with(func(a *cluster.ACL) { a.ResourceType = 8 }),
		"pattern match":     with(func(a *cluster.ACL) { a.PatternType = PatternMatch }),
		"pattern any":       with(func(a *cluster.ACL) { a.PatternType = PatternAny }),
		"operation any":     with(func(a *cluster.ACL) { a.Operation = 1 }),
		"operation":         with(func(a *cluster.ACL) { a.Operation = 16 }),
		"permission any":    with(func(a *cluster.ACL) { a.Permission = PermissionAny }),
		"no name":           with(func(a *cluster.ACL) { a.ResourceName = "" }),
		"other cluster":     with(func(a *cluster.ACL) { a.ResourceType = int8(ResCluster) }),
		"no host":           with(func(a *cluster.ACL) { a.Host = "" }),
		"no principal":      with(func(a *cluster.ACL) { a.Principal = "" }),
		"bare principal":    with(func(a *cluster.ACL) { a.Principal = "alice" }),
		"no type":           with(func(a *cluster.ACL) { a.Principal = ":alice" }),
		"no principal name": with(func(a *cluster.ACL) { a.Principal = "User:" }),
	} {
		wantCode(t, name, CheckACL(acl), CodeInvalidRequest)
	}
}

func TestSupports(t *testing.T) {
	if !ResTopic.Supports(OpAlterConfigs) || ResTopic.Supports(OpClusterAction) || !ResCluster.Supports(OpIdempotentWrite) ||
		ResTopic.Supports(OpAll) || ResourceType(0).Supports(OpRead) || ResourceType(99).Supports(OpRead) || !ResUser.Supports(OpCreateTokens) {
		t.Error("the operations of resource types are wrong")
	}
	if OpDescribe.String() != "Describe" || ResTxnID.String() != "TransactionalId" || Operation(77).String() != "Operation(77)" || ResourceType(-1).String() != "ResourceType(-1)" {
		t.Error("names are wrong")
	}
}

func TestParsePrincipal(t *testing.T) {
	for s, want := range map[string]Principal{"User:alice": {Type: "User", Name: "alice"}, "User:CN=a,O=b:c": {Type: "User", Name: "CN=a,O=b:c"}} {
		if got, err := ParsePrincipal(s); err != nil || got != want || got.String() != s {
			t.Errorf("ParsePrincipal(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "alice", ":alice", "User:", ":"} {
		if got, err := ParsePrincipal(s); err == nil {
			t.Errorf("ParsePrincipal(%q) = %v", s, got)
		}
	}
	if (&Principal{Type: "User", Name: "a", Token: true}).Is(nil) || !(&Principal{Type: "User", Name: "a", Token: true}).Is(&Principal{Type: "User", Name: "a"}) {
		t.Error("Is is wrong")
	}
}

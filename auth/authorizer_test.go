package auth

import (
	"bufio"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chronik-stream/chronik/cluster"
)

var (
	alice = &Principal{Type: "User", Name: "alice"}
	bob   = &Principal{Type: "User", Name: "bob"}
	root  = &Principal{Type: "User", Name: "root"}
	group = &Principal{Type: "Group", Name: "alice"}

	host1 = netip.MustParseAddr("192.0.2.1")
	host2 = netip.MustParseAddr("192.0.2.2")
	host6 = netip.MustParseAddr("2001:db8::1")
)

// rule writes an ACL as "allow|deny principal op on type[:prefix] name [from host]".
func rule(permission int8, principal string, op Operation, rt ResourceType, pattern int8, name, host string) cluster.ACL {
	return cluster.ACL{ResourceType: int8(rt), ResourceName: name, PatternType: pattern,
		Principal: principal, Host: host, Operation: int8(op), Permission: permission}
}

func allowing(acls ...cluster.ACL) *Authorizer {
	a := newAuthorizer(true, []string{"User:root", " User:boss "}, false)
	a.update(&cluster.Image{Version: 1, ACLs: acls})
	return a
}

func TestAuthorize(t *testing.T) {
	const lit, pre = PatternLiteral, PatternPrefixed
	const yes, no = PermissionAllow, PermissionDeny
	type ask struct {
		p    *Principal
		host netip.Addr
		op   Operation
		rt   ResourceType
		name string
		want bool
	}
	tests := []struct {
		name string
		acls []cluster.ACL
		asks []ask
	}{
		{"no ACL", nil, []ask{
			{alice, host1, OpRead, ResTopic, "t", false},
			{root, host1, OpRead, ResTopic, "t", true},
			{&Principal{Type: "User", Name: "boss"}, host1, OpAlter, ResCluster, ClusterName, true},
			{&Principal{Type: "Group", Name: "root"}, host1, OpRead, ResTopic, "t", false},
			{nil, host1, OpRead, ResTopic, "t", false},
		}},
		{"literal", []cluster.ACL{rule(yes, "User:alice", OpRead, ResTopic, lit, "orders", "*")}, []ask{
			{alice, host1, OpRead, ResTopic, "orders", true},
			{alice, host6, OpRead, ResTopic, "orders", true},
			{alice, host1, OpRead, ResTopic, "order", false},
			{alice, host1, OpRead, ResTopic, "orders2", false},
			{alice, host1, OpWrite, ResTopic, "orders", false},
			{alice, host1, OpRead, ResGroup, "orders", false},
			{alice, host1, OpDescribe, ResTopic, "orders", true},
			{bob, host1, OpRead, ResTopic, "orders", false},
			{group, host1, OpRead, ResTopic, "orders", false},
			{alice, host1, OpAny, ResTopic, "orders", false},
			{alice, host1, OpAll, ResTopic, "orders", false},
			{alice, host1, OpRead, ResAny, "orders", false},
			{alice, host1, OpRead, 100, "orders", false},
			{alice, host1, -3, ResTopic, "orders", false},
		}},
		{"prefixes nest", []cluster.ACL{
			rule(yes, "User:alice", OpRead, ResTopic, pre, "a", "*"),
			rule(no, "User:alice", OpRead, ResTopic, pre, "ab.", "*"),
			rule(yes, "User:alice", OpWrite, ResTopic, pre, "ab.c", "*"),
		}, []ask{
			{alice, host1, OpRead, ResTopic, "a", true},
			{alice, host1, OpRead, ResTopic, "ab", true},
			{alice, host1, OpRead, ResTopic, "ab.", false},
			{alice, host1, OpRead, ResTopic, "ab.cd", false},
			{alice, host1, OpWrite, ResTopic, "ab.cd", true},
			{alice, host1, OpDescribe, ResTopic, "ab.cd", true}, // DENY READ denies no DESCRIBE
			{alice, host1, OpRead, ResTopic, "", false},
		}},
		{"wildcard name", []cluster.ACL{
			rule(yes, "User:alice", OpAll, ResGroup, lit, "*", "*"),
			rule(no, "User:alice", OpDelete, ResGroup, lit, "keep", "*"),
			rule(yes, "User:bob", OpRead, ResTopic, pre, "*", "*"), // a prefix named "*", no wildcard
		}, []ask{
			{alice, host1, OpRead, ResGroup, "g", true},
			{alice, host1, OpAll, ResGroup, "g", true},
			{alice, host1, OpDelete, ResGroup, "g", true},
			{alice, host1, OpDelete, ResGroup, "keep", false},
			{alice, host1, OpRead, ResGroup, "keep", true},
			{bob, host1, OpRead, ResTopic, "t", false},
			{bob, host1, OpRead, ResTopic, "*t", true},
		}},
		{"everyone", []cluster.ACL{
			rule(yes, "User:*", OpWrite, ResTopic, lit, "t", "*"),
			rule(no, "User:bob", OpWrite, ResTopic, lit, "*", "*"),
		}, []ask{
			{alice, host1, OpWrite, ResTopic, "t", true},
			{group, host1, OpWrite, ResTopic, "t", true}, // User:* is every principal
			{bob, host1, OpWrite, ResTopic, "t", false},
			{bob, host1, OpDescribe, ResTopic, "t", true},
			{alice, host1, OpDescribe, ResTopic, "t", true},
			{alice, host1, OpRead, ResTopic, "t", false},
		}},
		{"hosts", []cluster.ACL{
			rule(yes, "User:alice", OpRead, ResTopic, lit, "t", "192.0.2.1"),
			rule(yes, "User:bob", OpRead, ResTopic, lit, "t", "*"),
			rule(no, "User:bob", OpRead, ResTopic, lit, "t", "192.0.2.2"),
			rule(yes, "User:alice", OpRead, ResTopic, lit, "t", "2001:db8:0:0:0:0:0:1"),
			rule(yes, "User:alice", OpRead, ResTopic, lit, "u", "broken.example"),
			rule(yes, "User:alice", OpRead, ResTopic, lit, "m", "::ffff:192.0.2.1"),
		}, []ask{
			{alice, host1, OpRead, ResTopic, "t", true},
			{alice, netip.MustParseAddr("::ffff:192.0.2.1"), OpRead, ResTopic, "t", true},
			{alice, host2, OpRead, ResTopic, "t", false},
			{alice, host6, OpRead, ResTopic, "t", true},
			{bob, host1, OpRead, ResTopic, "t", true},
			{bob, host2, OpRead, ResTopic, "t", false},
			{alice, host1, OpRead, ResTopic, "u", false},
			{alice, host1, OpRead, ResTopic, "m", true},
		}},
		{"implied", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, lit, "w", "*"),
			rule(yes, "User:alice", OpDelete, ResTopic, lit, "d", "*"),
			rule(yes, "User:alice", OpAlter, ResTopic, lit, "a", "*"),
			rule(yes, "User:alice", OpCreate, ResTopic, lit, "c", "*"),
			rule(yes, "User:alice", OpAlterConfigs, ResTopic, lit, "ac", "*"),
			rule(yes, "User:alice", OpDescribeConfigs, ResTopic, lit, "dc", "*"),
			rule(no, "User:bob", OpAll, ResTopic, lit, "w", "*"),
			rule(yes, "User:bob", OpAll, ResTopic, lit, "*", "*"),
		}, []ask{
			{alice, host1, OpDescribe, ResTopic, "w", true},
			{alice, host1, OpDescribe, ResTopic, "d", true},
			{alice, host1, OpDescribe, ResTopic, "a", true},
			{alice, host1, OpDescribe, ResTopic, "c", false},
			{alice, host1, OpDescribeConfigs, ResTopic, "ac", true},
			{alice, host1, OpDescribeConfigs, ResTopic, "a", false},
			{alice, host1, OpAlterConfigs, ResTopic, "dc", false},
			{alice, host1, OpDescribe, ResTopic, "ac", false},
			{bob, host1, OpDescribe, ResTopic, "w", false},
			{bob, host1, OpDescribe, ResTopic, "x", true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := allowing(tt.acls...)
			for _, q := range tt.asks {
				if got := a.Authorize(q.p, q.host, q.op, q.rt, []byte(q.name)); got != q.want {
					t.Errorf("%v from %v: %v on %v %q = %v", q.p, q.host, q.op, q.rt, q.name, got)
				}
			}
		})
	}
}

func TestAuthorizeWithoutACL(t *testing.T) {
	a := newAuthorizer(true, nil, true)
	a.update(&cluster.Image{Version: 1, ACLs: []cluster.ACL{
		rule(PermissionAllow, "User:bob", OpRead, ResTopic, PatternLiteral, "t", "*"),
		rule(PermissionAllow, "User:bob", OpRead, ResTopic, PatternPrefixed, "p.", "*"),
	}})
	for name, want := range map[string]bool{"u": true, "t": false, "p.x": false, "p": true} {
		if got := a.Authorize(alice, host1, OpRead, ResTopic, []byte(name)); got != want {
			t.Errorf("allow.everyone.if.no.acl.found on %q = %v", name, got)
		}
	}
	off := NewAuthorizer(nil, false, nil, false)
	if off.Enabled() || !off.Authorize(nil, host1, OpAlter, ResCluster, []byte(ClusterName)) ||
		!off.AuthorizeAny(alice, host1, OpWrite, ResTopic) {
		t.Error("without an authorizer everything is allowed")
	}
}

func TestAuthorizeAny(t *testing.T) {
	const lit, pre = PatternLiteral, PatternPrefixed
	const yes, no = PermissionAllow, PermissionDeny
	tests := []struct {
		name string
		acls []cluster.ACL
		op   Operation
		want bool
	}{
		{"nothing", nil, OpWrite, false},
		{"literal", []cluster.ACL{rule(yes, "User:alice", OpWrite, ResTopic, lit, "t", "*")}, OpWrite, true},
		{"all", []cluster.ACL{rule(yes, "User:alice", OpAll, ResTopic, lit, "t", "*")}, OpWrite, true},
		{"other host", []cluster.ACL{rule(yes, "User:alice", OpWrite, ResTopic, lit, "t", "192.0.2.9")}, OpWrite, false},
		{"implied does not count", []cluster.ACL{rule(yes, "User:alice", OpWrite, ResTopic, lit, "t", "*")}, OpDescribe, false},
		{"implied counts on the name that Kafka asks first", []cluster.ACL{rule(yes, "User:alice", OpWrite, ResTopic, pre, "hard", "*")}, OpDescribe, true},
		{"dominated by its literal", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, lit, "t", "*"), rule(no, "User:*", OpWrite, ResTopic, lit, "t", "*")}, OpWrite, false},
		{"dominated by a prefix", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, lit, "team.t", "*"), rule(no, "User:alice", OpAll, ResTopic, pre, "te", "*")}, OpWrite, false},
		{"a longer prefix does not dominate", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, pre, "te", "*"), rule(no, "User:alice", OpWrite, ResTopic, pre, "tea", "*")}, OpWrite, true},
		{"a prefix is not dominated by a literal", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, pre, "t", "*"), rule(no, "User:alice", OpWrite, ResTopic, lit, "t", "*")}, OpWrite, true},
		{"equal prefixes", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, pre, "t", "*"), rule(no, "User:alice", OpWrite, ResTopic, pre, "t", "*")}, OpWrite, false},
		{"wildcard allow", []cluster.ACL{
			rule(yes, "User:*", OpWrite, ResTopic, lit, "*", "*"), rule(no, "User:alice", OpWrite, ResTopic, pre, "hard", "*")}, OpWrite, true},
		{"wildcard deny", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, lit, "t", "*"), rule(no, "User:alice", OpWrite, ResTopic, lit, "*", "*")}, OpWrite, false},
		{"one of many", []cluster.ACL{
			rule(yes, "User:alice", OpWrite, ResTopic, lit, "a", "*"), rule(no, "User:alice", OpWrite, ResTopic, lit, "a", "*"),
			rule(yes, "User:alice", OpWrite, ResTopic, lit, "b", "*")}, OpWrite, true},
		{"another type", []cluster.ACL{rule(yes, "User:alice", OpWrite, ResTxnID, lit, "t", "*")}, OpWrite, false},
		{"not for ALL", []cluster.ACL{rule(yes, "User:alice", OpAll, ResTopic, lit, "*", "*")}, OpAll, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := allowing(tt.acls...).AuthorizeAny(alice, host1, tt.op, ResTopic); got != tt.want {
				t.Errorf("AuthorizeAny = %v", got)
			}
		})
	}
	a := allowing(rule(no, "User:*", OpAll, ResTopic, lit, "*", "*"))
	if !a.AuthorizeAny(root, host1, OpWrite, ResTopic) {
		t.Error("a super user is refused")
	}
}

// reference is StandardAuthorizer and authorizeByResourceType written down from
// their rules with no thought of speed.
type reference struct {
	acls  []cluster.ACL
	super []string
	noACL bool
}

func (r *reference) on(acl cluster.ACL, rt ResourceType, name string) bool {
	if acl.ResourceType != int8(rt) {
		return false
	}
	if acl.PatternType == PatternPrefixed {
		return strings.HasPrefix(name, acl.ResourceName)
	}
	return acl.ResourceName == name || acl.ResourceName == "*"
}

func (r *reference) to(acl cluster.ACL, p *Principal, host netip.Addr) bool {
	return (acl.Principal == p.String() || acl.Principal == "User:*") && (acl.Host == "*" || acl.Host == host.String())
}

func (r *reference) allowed(p *Principal, host netip.Addr, op Operation, rt ResourceType, name string) bool {
	if slices.Contains(r.super, p.String()) {
		return true
	}
	some, allow := false, false
	for _, acl := range r.acls {
		if !r.on(acl, rt, name) {
			continue
		}
		some = true
		if !r.to(acl, p, host) {
			continue
		}
		has := Operation(acl.Operation)
		hit := has == op || has == OpAll
		if acl.Permission == PermissionDeny {
			if hit {
				return false
			}
			continue
		}
		switch {
		case hit:
		case op == OpDescribe && slices.Contains([]Operation{OpRead, OpWrite, OpDelete, OpAlter}, has):
		case op == OpDescribeConfigs && has == OpAlterConfigs:
		default:
			continue
		}
		allow = true
	}
	return allow || !some && r.noACL
}

func (r *reference) any(p *Principal, host netip.Addr, op Operation, rt ResourceType) bool {
	if r.allowed(p, host, op, rt, "hardcode") {
		return true
	}
	var allows, denies []cluster.ACL
	for _, acl := range r.acls {
		if acl.ResourceType != int8(rt) || !r.to(acl, p, host) || acl.Operation != int8(op) && acl.Operation != int8(OpAll) {
			continue
		}
		star := acl.PatternType == PatternLiteral && acl.ResourceName == "*"
		if acl.Permission == PermissionDeny {
			if star {
				return false
			}
			denies = append(denies, acl)
		} else {
			allows = append(allows, acl)
		}
	}
	for _, a := range allows {
		dominated := false
		for _, d := range denies {
			switch {
			case a.PatternType == PatternLiteral && a.ResourceName == "*":
			case d.PatternType == PatternPrefixed:
				dominated = dominated || strings.HasPrefix(a.ResourceName, d.ResourceName)
			case a.PatternType == PatternLiteral:
				dominated = dominated || a.ResourceName == d.ResourceName
			}
		}
		if !dominated {
			return true
		}
	}
	return false
}

func drawACL(t *rapid.T) cluster.ACL {
	return cluster.ACL{
		ResourceType: int8(rapid.SampledFrom([]ResourceType{ResTopic, ResTopic, ResGroup, ResTxnID}).Draw(t, "type")),
		ResourceName: rapid.SampledFrom([]string{"*", "a", "ab", "abc", "b", "hard", "hardcode", "bc", "*a"}).Draw(t, "name"),
		PatternType:  rapid.SampledFrom([]int8{PatternLiteral, PatternPrefixed}).Draw(t, "pattern"),
		Principal:    rapid.SampledFrom([]string{"User:alice", "User:bob", "User:*", "Group:alice"}).Draw(t, "principal"),
		Host:         rapid.SampledFrom([]string{"*", "192.0.2.1", "192.0.2.2"}).Draw(t, "host"),
		Operation:    int8(rapid.IntRange(int(OpAll), int(OpDescribeTokens)).Draw(t, "op")),
		Permission:   rapid.SampledFrom([]int8{PermissionAllow, PermissionAllow, PermissionDeny}).Draw(t, "permission"),
	}
}

// TestAuthorizerAgainstReference changes the rules step by step, as the cluster
// does, and holds every decision against the reference.
func TestAuthorizerAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noACL := rapid.Bool().Draw(t, "allow.everyone.if.no.acl.found")
		a := newAuthorizer(true, []string{"User:root"}, noACL)
		ref := &reference{super: []string{"User:root"}, noACL: noACL}
		people := []*Principal{alice, bob, group, root}
		image := &cluster.Image{}
		for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
			next := slices.Clone(ref.acls)
			for range rapid.IntRange(0, 5).Draw(t, "removed") {
				if len(next) > 0 {
					at := rapid.IntRange(0, len(next)-1).Draw(t, "at")
					next = slices.Delete(next, at, at+1)
				}
			}
			for range rapid.IntRange(0, 8).Draw(t, "added") {
				if acl := drawACL(t); !slices.Contains(next, acl) {
					next = slices.Insert(next, rapid.IntRange(0, len(next)).Draw(t, "where"), acl)
				}
			}
			ref.acls = next
			image = &cluster.Image{Version: int64(step + 1), ACLs: next}
			before := a.Epoch()
			was := a.current.Load().acls
			a.update(image)
			if changed := !slices.Equal(was, next); changed != (a.Epoch() != before) {
				t.Fatalf("the rules changed: %v, the epoch went from %d to %d", changed, before, a.Epoch())
			}
			for range 20 {
				who := rapid.IntRange(0, len(people)-1).Draw(t, "who")
				host := rapid.SampledFrom([]netip.Addr{host1, host2}).Draw(t, "from")
				op := Operation(rapid.IntRange(int(OpAll), int(OpDescribeTokens)).Draw(t, "asked"))
				rt := rapid.SampledFrom([]ResourceType{ResTopic, ResGroup, ResTxnID}).Draw(t, "on")
				name := rapid.SampledFrom([]string{"a", "ab", "abcd", "b", "c", "hardcode", "*", "*ab", ""}).Draw(t, "named")
				want := ref.allowed(people[who], host, op, rt, name)
				if got := a.Authorize(people[who], host, op, rt, []byte(name)); got != want {
					t.Fatalf("%v from %v: %v on %v %q = %v, by the rules %v", people[who], host, op, rt, name, got, want)
				}
				if op != OpAll {
					if got, want := a.AuthorizeAny(people[who], host, op, rt), ref.any(people[who], host, op, rt); got != want {
						t.Fatalf("%v from %v: %v on any %v = %v, by the rules %v", people[who], host, op, rt, got, want)
					}
				}
			}
		}
		fresh := newAuthorizer(true, nil, noACL)
		fresh.update(image)
		for kind := range fresh.current.Load().kinds {
			f, g := fresh.current.Load().kinds[kind], a.current.Load().kinds[kind]
			if f == nil {
				f = &kindRules{}
			}
			if g == nil {
				g = &kindRules{}
			}
			if len(f.literal) != len(g.literal) || len(f.prefixed) != len(g.prefixed) || !slices.Equal(f.lengths, g.lengths) || (f.wildcard == nil) != (g.wildcard == nil) {
				t.Fatalf("kind %d: built step by step %d literals, %d prefixes of lengths %v; at once %d, %d, %v",
					kind, len(g.literal), len(g.prefixed), g.lengths, len(f.literal), len(f.prefixed), f.lengths)
			}
		}
	})
}

// TestAuthorizerAsKafka asks what Apache Kafka 4.2's StandardAuthorizer was
// asked under random rules (testdata/acls.txt: a case with its
// allow.everyone.if.no.acl.found; its ACLs; then decisions on a name and on any
// resource of a type). Names that begin with a star are not asked for: see
// Authorizer.
func TestAuthorizerAsKafka(t *testing.T) {
	f, err := os.Open("testdata/acls.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var a *Authorizer
	image := &cluster.Image{}
	asked, allowed := 0, 0
	for in := bufio.NewScanner(f); in.Scan(); {
		word := strings.Fields(in.Text())
		number := func(i int) int8 {
			n, err := strconv.Atoi(word[i])
			if err != nil {
				t.Fatal(in.Text(), err)
			}
			return int8(n)
		}
		switch word[0] {
		case "case":
			a = newAuthorizer(true, []string{"User:root"}, word[1] == "true")
			image = &cluster.Image{}
		case "acl":
			image = &cluster.Image{Version: image.Version + 1, ACLs: append(slices.Clone(image.ACLs), cluster.ACL{ResourceType: number(1),
				PatternType: number(2), ResourceName: word[3], Principal: word[4], Host: word[5], Operation: number(6), Permission: number(7)})}
			a.update(image)
		default:
			p, err := ParsePrincipal(word[1])
			if err != nil {
				t.Fatal(err)
			}
			host, op, rt, name, want := netip.MustParseAddr(word[2]), Operation(number(3)), ResourceType(number(4)), []byte(word[5]), word[6] == "true"
			got := a.AuthorizeAny(&p, host, op, rt)
			if word[0] == "one" {
				got = a.Authorize(&p, host, op, rt, name)
			}
			if got != want {
				t.Errorf("%s: %v, by the rules %v", in.Text(), got, image.ACLs)
			}
			asked++
			if want {
				allowed++
			}
		}
	}
	if asked < 1000 || allowed < 300 || asked-allowed < 300 {
		t.Errorf("%d questions, %d allowed; is the file whole?", asked, allowed)
	}
}

// TestUpdateShares says that a change of one pattern leaves the others' rules
// as they are, and that an old image does not come back.
func TestUpdateShares(t *testing.T) {
	one := rule(PermissionAllow, "User:alice", OpRead, ResTopic, PatternLiteral, "one", "*")
	two := rule(PermissionAllow, "User:alice", OpRead, ResTopic, PatternLiteral, "two", "*")
	g := rule(PermissionAllow, "User:alice", OpRead, ResGroup, PatternLiteral, "g", "*")
	a := newAuthorizer(true, nil, false)
	a.update(&cluster.Image{Version: 3, ACLs: []cluster.ACL{g, one}})
	before := a.current.Load()
	a.update(&cluster.Image{Version: 4, ACLs: []cluster.ACL{g, one, two}})
	after := a.current.Load()
	if before.kinds[ResGroup] != after.kinds[ResGroup] {
		t.Error("the rules of groups were built again for a topic's")
	}
	if before.kinds[ResTopic].literal["one"] != after.kinds[ResTopic].literal["one"] {
		t.Error("the rules of topic one were built again for topic two's")
	}
	if before.kinds[ResTopic].literal["two"] != nil {
		t.Error("the older rules were written to")
	}
	a.update(&cluster.Image{Version: 2})
	if a.current.Load() != after {
		t.Error("an older image replaced a newer one")
	}
	a.update(nil)
	a.update(&cluster.Image{Version: 5, ACLs: slices.Clone(after.acls)})
	if a.Epoch() != after.epoch {
		t.Error("equal rules changed the epoch")
	}
}

func TestAuthorizeAllocatesNothing(t *testing.T) {
	a, name := manyRules(300, 20)
	for what, f := range map[string]func(){
		"Authorize":    func() { a.Authorize(alice, host1, OpWrite, ResTopic, name) },
		"AuthorizeAny": func() { a.AuthorizeAny(alice, host1, OpWrite, ResTopic) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
}

// manyRules is many ACLs of which a handful match.
func manyRules(literals, principals int) (*Authorizer, []byte) {
	var acls []cluster.ACL
	for i := range literals {
		name := "team-" + string(rune('a'+i%26)) + "." + strings.Repeat("x", i%7) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		acls = append(acls, rule(PermissionAllow, "User:bob", OpRead, ResTopic, PatternLiteral, name, "*"))
	}
	for i := range principals {
		acls = append(acls, rule(PermissionAllow, "User:u"+string(rune('0'+i%10))+string(rune('0'+i/10%10))+string(rune('0'+i/100)),
			OpWrite, ResTopic, PatternPrefixed, "orders.", "*"))
	}
	acls = append(acls, rule(PermissionAllow, "User:alice", OpWrite, ResTopic, PatternPrefixed, "orders.", "*"),
		rule(PermissionDeny, "User:*", OpWrite, ResTopic, PatternLiteral, "*", "192.0.2.77"))
	return allowing(acls...), []byte("orders.europe.created")
}

func BenchmarkAuthorize(b *testing.B) {
	a, name := manyRules(9000, 1000)
	b.Run("rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !a.Authorize(alice, host1, OpWrite, ResTopic, name) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		acls := slices.Clone(a.current.Load().acls)
		version := int64(1)
		for b.Loop() {
			version++
			next := append(slices.Clone(acls), rule(PermissionAllow, "User:new", OpRead, ResGroup, PatternLiteral, "g", "*"))
			if version%2 == 0 {
				next = next[:len(acls)]
			}
			a.update(&cluster.Image{Version: version, ACLs: next})
		}
	})
}

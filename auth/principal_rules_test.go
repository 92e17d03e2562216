package auth

import (
	"bufio"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestPrincipalRules: the names are what Apache Kafka 4.2's SslPrincipalMapper
// gives; "!" stands for a refusal when it maps.
func TestPrincipalRules(t *testing.T) {
	for _, tt := range [][3]string{
		{"DEFAULT", "CN=duke,O=Org", "CN=duke,O=Org"},
		{`RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/`, "CN=duke,OU=ServiceUsers,O=Org", "duke"},
		{`RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, DEFAULT`, "CN=Duke,OU=JavaSoft,O=Sun,L=x,ST=y,C=z", "duke@javasoft"},
		{`RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, DEFAULT`, "CN=Duke,O=Sun", "CN=Duke,O=Sun"},
		{`RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L,DEFAULT`, "OU=x,CN=Some.User,O=Org", "some.user"},
		{`RULE:^CN=(.*)$/$1@$4/U`, "CN=a b", "A B@$4"},
		{`RULE:CN=(.)(.)/$12$2$0/`, "CN=ab", "a2bCN=ab"},
		{`RULE:(.*)/[$1]/`, "CN=abc", "[CN=abc][]"},
		{`RULE:^CN=((\\, *|\w)+)(,.*|$)/$1/`, `CN=Duke\, Junior,O=x`, `Duke\, Junior`},
		{`RULE:^CN=(.*?),.*$/$1\/x/,DEFAULT`, "CN=a,O=b", "a/x"},
		{`RULE:a*/x/`, "aaa", "xx"}, {`RULE:a*?/x/`, "aaa", "xaxaxax"},
		{`DEFAULT, RULE:x/y/`, "q", "q"}, {` , ,DEFAULT`, "q", "q"},
		{`RULE:(a)|(b)/[$1$2]/`, "b", "[b]"},
		{``, "q", "!"}, {`RULE:x/y/`, "q", "!"}, {`RULE:/x/`, "a", "!"},
		{`RULE:(a)/\$1/`, "a", "$1"}, {`RULE:(a)/$01/`, "a", "a"}, {`RULE:(a)/$00/`, "a", "a"}, {`RULE:a//`, "a", ""},
	} {
		rules, err := ParsePrincipalRules(tt[0])
		if err != nil {
			t.Errorf("%s: %v", tt[0], err)
			continue
		}
		name, err := rules.Name(tt[1])
		if err != nil {
			name = "!"
		}
		if name != tt[2] || rules.String() != tt[0] {
			t.Errorf("%s on %s: %q, want %q", tt[0], tt[1], name, tt[2])
		}
	}
	// Kafka refuses these too, some of them only when a client comes.
	for _, bad := range []string{
		"DEFAULTx", "default", "RULE:", "RULE:a", "RULE:a/b", "RULE:a/x/L junk, DEFAULT", "RULE:a/x/Ljunk", "RULE:(a/b/", "RULE:a)(b/x/", "RULE:a/b$/",
		"RULE:(a)/$x/", "RULE:a/$1/", `RULE:a/b\`, "DEFAULT DEFAULT", "RULE:(?=a)/x/", strings.Repeat("DEFAULT,", 10_000),
	} {
		if rules, err := ParsePrincipalRules(bad); err == nil {
			t.Errorf("%.40s is taken as %+v", bad, rules.rules)
		}
	}
	rules, err := ParsePrincipalRules(`RULE:(.*)/$1$1$1/`)
	if err != nil {
		t.Fatal(err)
	}
	for _, long := range []string{strings.Repeat("a", 1000), strings.Repeat("a", 5000)} {
		if name, err := rules.Name(long); err == nil {
			t.Errorf("a name of %d bytes", len(name))
		}
	}
}

// TestSubjectName holds SubjectName against Java 17's X500Principal.getName();
// testdata/subjects.txt has the subject's DER and the name's UTF-8 in hex.
func TestSubjectName(t *testing.T) {
	f, err := os.Open("testdata/subjects.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for in := bufio.NewScanner(f); in.Scan(); n++ {
		der, name, _ := strings.Cut(in.Text(), " ")
		raw, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.Trim(name, "-"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := SubjectName(raw); err != nil || got != string(want) {
			t.Errorf("%s: %q, %v, Java has %q", der, got, err, want)
		}
		for cut := range raw {
			if name, err := SubjectName(raw[:cut]); err == nil {
				t.Errorf("%s cut to %d bytes is %q", der, cut, name)
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d subjects", n)
	}
}

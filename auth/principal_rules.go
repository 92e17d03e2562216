package auth

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// PrincipalRules turns a certificate's subject into a principal's name, by
// Kafka's ssl.principal.mapping.rules (KIP-371, SslPrincipalMapper.java): a list
// with commas of DEFAULT (the subject as it is) and
// RULE:pattern/replacement/[LU], of which the first whose pattern matches the
// whole subject holds. Immutable.
//
// Patterns are Go's regular expressions and not Java's: no look-around and no
// back references in the pattern, and in return a time linear in the subject,
// which is a stranger's until it is mapped.
type PrincipalRules struct {
	text  string
	rules []principalRule
}

type principalRule struct {
	whole       *regexp.Regexp // nil for DEFAULT
	some        *regexp.Regexp // the pattern anywhere
	atEnd       *regexp.Regexp // the pattern as an empty match at the end
	replacement []replacementPart
	fold        byte // 'L', 'U' or 0
}

// replacementPart is text, then a group when group >= 0.
type replacementPart struct {
	text  string
	group int
}

// DefaultPrincipalRules is what holds without the key.
const DefaultPrincipalRules = "DEFAULT"

// maxSubject bounds a subject: with the rules' text it bounds the time and the
// memory that a stranger's certificate can take.
const maxSubject = 4096

// maxPrincipalRules bounds the rules' text.
const maxPrincipalRules = 64 << 10

// ParsePrincipalRules reads the rules. Spaces around rules do not count, and
// empty rules are left out.
func ParsePrincipalRules(text string) (*PrincipalRules, error) {
	if len(text) > maxPrincipalRules {
		return nil, fmt.Errorf("auth: ssl.principal.mapping.rules has %d bytes, more than %d", len(text), maxPrincipalRules)
	}
	p := &PrincipalRules{text: text}
	rest := strings.TrimSpace(text)
	for rest != "" {
		var rule principalRule
		var err error
		switch {
		case rest[0] == ',':
			rest = strings.TrimSpace(rest[1:])
			continue
		case strings.HasPrefix(rest, "DEFAULT"):
			rest = rest[len("DEFAULT"):]
		case strings.HasPrefix(rest, "RULE:"):
			rule, rest, err = parsePrincipalRule(rest[len("RULE:"):])
			if err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("auth: ssl.principal.mapping.rules: %q is neither DEFAULT nor RULE:pattern/replacement/[LU]", firstRule(rest))
		}
		p.rules = append(p.rules, rule)
		if rest = strings.TrimSpace(rest); rest != "" && rest[0] != ',' {
			return nil, fmt.Errorf("auth: ssl.principal.mapping.rules: %q follows a rule without a comma", firstRule(rest))
		}
	}
	return p, nil
}

func firstRule(s string) string {
	s, _, _ = strings.Cut(s, ",")
	if len(s) > 80 {
		s = s[:80]
	}
	return s
}

// parsePrincipalRule reads pattern/replacement/[LU]; a slash in either is
// written \/.
func parsePrincipalRule(s string) (r principalRule, rest string, err error) {
	pattern, s, ok := cutUnescaped(s)
	if !ok {
		return r, "", fmt.Errorf("auth: ssl.principal.mapping.rules: RULE:%s has no replacement; the form is RULE:pattern/replacement/[LU]", firstRule(pattern))
	}
	replacement, s, ok := cutUnescaped(s)
	if !ok {
		return r, "", fmt.Errorf("auth: ssl.principal.mapping.rules: RULE:%s/%s does not end with a slash; the form is RULE:pattern/replacement/[LU]", firstRule(pattern), firstRule(replacement))
	}
	if s != "" && (s[0] == 'L' || s[0] == 'U') {
		r.fold, s = s[0], s[1:]
	}
	// The bare pattern first: only what is one expression may be wrapped.
	for _, one := range []struct {
		to   **regexp.Regexp
		expr string
	}{{&r.some, pattern}, {&r.whole, `\A(?:` + pattern + `)\z`}, {&r.atEnd, `\z(?:` + pattern + `)`}} {
		if *one.to, err = regexp.Compile(one.expr); err != nil {
			return r, "", fmt.Errorf("auth: ssl.principal.mapping.rules: the pattern %q cannot be used: %w", pattern, err)
		}
	}
	r.replacement, err = parseReplacement(replacement, r.some.NumSubexp())
	return r, s, err
}

// cutUnescaped parts at the first slash without a backslash before it.
func cutUnescaped(s string) (before, after string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// parseReplacement reads $1 and \x as Java's Matcher.replaceAll does. A number
// beyond the groups there are is shortened until it is one; what cannot be is
// text (Kafka takes that from NiFi).
func parseReplacement(s string, groups int) (parts []replacementPart, err error) {
	text := strings.Builder{}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\':
			if i++; i == len(s) {
				return nil, fmt.Errorf("auth: ssl.principal.mapping.rules: the replacement %q ends with a backslash", s)
			}
			text.WriteByte(s[i])
			i++
		case c == '$':
			end := i + 1
			for end < len(s) && end < i+6 && s[end] >= '0' && s[end] <= '9' {
				end++
			}
			group := -1
			for ; end > i+1; end-- {
				if n, _ := strconv.Atoi(s[i+1 : end]); n <= groups { // digits only
					group = n
					break
				}
			}
			if group < 0 {
				if i+1 == len(s) || s[i+1] < '0' || s[i+1] > '9' || groups == 0 {
					return nil, fmt.Errorf("auth: ssl.principal.mapping.rules: the replacement %q has a $ that names no group of the pattern; a dollar sign itself is written \\$", s)
				}
				text.WriteByte('$')
				i++
				continue
			}
			parts = append(parts, replacementPart{text.String(), group})
			text.Reset()
			i = end
		default:
			text.WriteByte(c)
			i++
		}
	}
	return append(parts, replacementPart{text.String(), -1}), nil
}

// Name is the principal's name for a subject in RFC 2253 form. It fails when no
// rule matches; the connection is then refused.
func (p *PrincipalRules) Name(subject string) (string, error) {
	if len(subject) > maxSubject {
		return "", fmt.Errorf("auth: the certificate's subject has more than %d bytes", maxSubject)
	}
	for i := range p.rules {
		r := &p.rules[i]
		if r.whole == nil {
			return subject, nil
		}
		if !r.whole.MatchString(subject) {
			continue
		}
		name := r.replace(subject)
		if len(name) > maxPrincipalName {
			return "", fmt.Errorf("auth: the certificate's subject maps to a name of more than %d bytes", maxPrincipalName)
		}
		return name, nil
	}
	return "", fmt.Errorf("auth: no rule of ssl.principal.mapping.rules applies to the certificate's subject %q", claimed(subject))
}

// replace is Java's String.replaceAll: every match of the pattern anywhere in
// the subject. Java takes an empty match right behind another match too, where
// Go does not, so that "(.*)" is replaced twice; that is done by hand at the
// end of the subject, the one place where it comes about in practice.
func (r *principalRule) replace(subject string) string {
	matches := r.some.FindAllStringSubmatchIndex(subject, -1)
	if n := len(matches); n > 0 && matches[n-1][1] == len(subject) && matches[n-1][0] != len(subject) {
		if m := r.atEnd.FindStringSubmatchIndex(subject); m != nil {
			matches = append(matches, m)
		}
	}
	var name strings.Builder
	at := 0
	for _, m := range matches {
		name.WriteString(subject[at:m[0]])
		for _, part := range r.replacement {
			name.WriteString(part.text)
			if part.group >= 0 && m[2*part.group] >= 0 {
				name.WriteString(subject[m[2*part.group]:m[2*part.group+1]])
			}
		}
		at = m[1]
		if name.Len() > maxPrincipalName {
			break // too long already, whatever follows
		}
	}
	name.WriteString(subject[at:])
	switch r.fold {
	case 'L':
		return strings.ToLower(name.String())
	case 'U':
		return strings.ToUpper(name.String())
	}
	return name.String()
}

// String is the rules as they were written.
func (p *PrincipalRules) String() string { return p.text }

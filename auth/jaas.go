package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chronik-stream/chronik/cluster"
)

// PlainLoginModule is the Java class that Kafka's configurations name for the
// users of PLAIN. No class is loaded here; its options are read.
const PlainLoginModule = "org.apache.kafka.common.security.plain.PlainLoginModule"

// PlainUsers reads the users of PLAIN out of a JAAS entry as Kafka has it in
// listener.name.NAME.plain.sasl.jaas.config,
//
//	org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="pw";
//
// and makes credentials of their passwords, which are not kept. Entries of
// other classes say nothing about users of the broker and are left out, as are
// the options username and password, which are a broker's own login to others.
// An error never repeats the text, which holds passwords. PBKDF2 for each user:
// not on a loop.
func PlainUsers(jaas string) (map[string]cluster.ScramCredential, error) {
	users := map[string]cluster.ScramCredential{}
	r := jaasReader{rest: jaas}
	for {
		class, err := r.word()
		if err != nil {
			return nil, err
		}
		if class == "" {
			return users, nil
		}
		if _, err := r.word(); err != nil { // required, requisite, sufficient or optional
			return nil, err
		}
		for {
			key, value, more, err := r.option()
			if err != nil {
				return nil, err
			}
			if !more {
				break
			}
			user, ok := strings.CutPrefix(key, "user_")
			if class != PlainLoginModule || !ok {
				continue
			}
			c, err := NewCredential(user, ScramSHA256, value, MinIterations)
			if err != nil {
				return nil, fmt.Errorf("auth: the JAAS entry's user %q: %w", user, err)
			}
			users[user] = c
		}
	}
}

// jaasReader reads JAAS's syntax: class flag key=value … ; with values in
// double or single quotes, or bare.
type jaasReader struct{ rest string }

var errJAAS = errors.New(`auth: a JAAS entry is not of the form CLASS required key="value" …; (the semicolon at the end counts)`)

const jaasSpace = " \t\r\n\f"

func (r *jaasReader) skip() { r.rest = strings.TrimLeft(r.rest, jaasSpace) }

// word reads a bare word; "" at the end.
func (r *jaasReader) word() (string, error) {
	r.skip()
	if r.rest == "" {
		return "", nil
	}
	n := strings.IndexAny(r.rest, jaasSpace+`;="'`)
	if n <= 0 {
		return "", errJAAS
	}
	w := r.rest[:n]
	r.rest = r.rest[n:]
	return w, nil
}

// option reads key=value; more is false at the entry's semicolon.
func (r *jaasReader) option() (key, value string, more bool, err error) {
	r.skip()
	if rest, ok := strings.CutPrefix(r.rest, ";"); ok {
		r.rest = rest
		return "", "", false, nil
	}
	// A user's name may hold nearly anything, so the key is all before "=".
	key, rest, ok := strings.Cut(r.rest, "=")
	if key = strings.Trim(strings.TrimSpace(key), `"`); !ok || key == "" || strings.ContainsAny(key, ";'"+jaasSpace) {
		return "", "", false, errJAAS
	}
	r.rest = strings.TrimLeft(rest, jaasSpace)
	if r.rest == "" {
		return "", "", false, errJAAS
	}
	if quote := r.rest[0]; quote == '"' || quote == '\'' {
		value, ok = r.quoted(quote)
		if !ok {
			return "", "", false, errJAAS
		}
		return key, value, true, nil
	}
	n := strings.IndexAny(r.rest, jaasSpace+";")
	if n < 0 {
		return "", "", false, errJAAS
	}
	value, r.rest = r.rest[:n], r.rest[n:]
	return key, value, true, nil
}

// quoted reads up to the closing quote; a backslash takes the next byte as it is.
func (r *jaasReader) quoted(quote byte) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == quote:
			r.rest = r.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(r.rest):
			i++
			b.WriteByte(r.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

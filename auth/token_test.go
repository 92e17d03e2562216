package auth

import (
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/chronik-stream/chronik/cluster"
)

func wantCode(t *testing.T, what string, err error, code int16) {
	t.Helper()
	var e *Error
	if code == 0 && err != nil || code != 0 && (!errors.As(err, &e) || e.Code != code) {
		t.Errorf("%s: %v, want code %d", what, err, code)
	}
}

func TestTokensAllowed(t *testing.T) {
	for _, tt := range []struct {
		p         *Principal
		plaintext bool
		code      int16
	}{
		{alice, false, 0}, {alice, true, 64}, {Anonymous, false, 64}, {&Principal{Type: "User", Name: "alice", Token: true}, false, 64},
	} {
		wantCode(t, fmt.Sprint(tt), TokensAllowed(tt.p, tt.plaintext), tt.code)
	}
}

func TestTokenCreate(t *testing.T) {
	tokens := NewTokens(TokenOptions{SecretKey: "secret", MaxTokens: 2})
	day := 24 * time.Hour.Milliseconds()
	for _, tt := range []struct{ asked, max, expiry int64 }{
		{-1, 7 * day, day}, {0, 7 * day, day}, {1000, 1000, 1000}, {3 * day, 3 * day, day}, {math.MaxInt64, 7 * day, day},
	} {
		token, err := tokens.Create(&cluster.Image{}, bob, alice, []Principal{*bob, {Type: "User", Name: "carol"}}, tt.asked, noon)
		if err != nil {
			t.Fatal(err)
		}
		if token.IssuedMs != noon.UnixMilli() || token.MaxMs-token.IssuedMs != tt.max || token.ExpiryMs-token.IssuedMs != tt.expiry {
			t.Errorf("a lifetime of %d gives %d, %d", tt.asked, token.MaxMs-token.IssuedMs, token.ExpiryMs-token.IssuedMs)
		}
		if token.Owner != "User:alice" || token.Requester != "User:bob" || !slices.Equal(token.Renewers, []string{"User:bob", "User:carol"}) {
			t.Errorf("%+v", token)
		}
		mac := hmac.New(sha512.New, []byte("secret"))
		mac.Write([]byte(token.ID))
		if !hmac.Equal(mac.Sum(nil), token.HMAC) || len(token.ID) != 22 || token.ID[0] == '-' {
			t.Errorf("the token %q has the HMAC %x", token.ID, token.HMAC)
		}
	}
	_, err := tokens.Create(&cluster.Image{}, bob, alice, []Principal{{Type: "Group", Name: "x"}}, 0, noon)
	wantCode(t, "a renewer that is no user", err, 67)
	_, err = tokens.Create(&cluster.Image{Tokens: map[string]cluster.Token{"a": {}, "b": {}}}, bob, alice, nil, 0, noon)
	wantCode(t, "too many", err, 44)

	off := NewTokens(TokenOptions{})
	_, err = off.Create(&cluster.Image{}, bob, alice, nil, 0, noon)
	wantCode(t, "create without a key", err, 61)
	_, err = off.Renew(&cluster.Image{}, bob, nil, 0, noon)
	wantCode(t, "renew without a key", err, 61)
	_, _, err = off.Expire(&cluster.Image{}, bob, nil, 0, noon)
	wantCode(t, "expire without a key", err, 61)
	_, err = off.Describe(&cluster.Image{}, bob, nil, nil)
	wantCode(t, "describe without a key", err, 61)
}

// tokenImage has a token of alice's that bob may renew and dave asked for.
func tokenImage() *cluster.Image {
	ms := noon.UnixMilli()
	return &cluster.Image{Tokens: map[string]cluster.Token{
		"t": {ID: "t", HMAC: []byte("mac"), Owner: "User:alice", Requester: "User:dave", Renewers: []string{"User:bob"},
			IssuedMs: ms, ExpiryMs: ms + 1000, MaxMs: ms + 5000},
		"u": {ID: "u", HMAC: []byte("mac2"), Owner: "User:erin", Requester: "User:erin", IssuedMs: ms, ExpiryMs: ms + 9000, MaxMs: ms + 9000},
	}}
}

func TestTokenRenew(t *testing.T) {
	tokens := NewTokens(TokenOptions{SecretKey: "secret", RenewLifetime: 3 * time.Second})
	dave := &Principal{Type: "User", Name: "dave"}
	for _, tt := range []struct {
		p      *Principal
		mac    string
		period int64
		after  int64 // ms
		code   int16
		expiry int64 // ms after noon
	}{
		{alice, "mac", -1, 0, 0, 3000}, {bob, "mac", 0, 500, 0, 3500}, {alice, "mac", 2000, 0, 0, 2000}, {alice, "mac", 100_000, 0, 0, 3000},
		{alice, "mac", 0, 1000, 0, 4000}, // at its last millisecond
		{alice, "mac", 0, 1001, 66, 0},
		{dave, "mac", 0, 0, 63, 0}, // asked for it, and may not renew it
		{group, "mac", 0, 0, 63, 0},
		{alice, "mac3", 0, 0, 62, 0}, {alice, "", 0, 0, 62, 0},
	} {
		token, err := tokens.Renew(tokenImage(), tt.p, []byte(tt.mac), tt.period, noon.Add(time.Duration(tt.after)*time.Millisecond))
		wantCode(t, fmt.Sprint(tt), err, tt.code)
		if err == nil && token.ExpiryMs-noon.UnixMilli() != tt.expiry {
			t.Errorf("%+v: expires after %d ms", tt, token.ExpiryMs-noon.UnixMilli())
		}
	}
	tokens = NewTokens(TokenOptions{SecretKey: "secret"})
	if token, err := tokens.Renew(tokenImage(), alice, []byte("mac"), 0, noon); err != nil || token.ExpiryMs != token.MaxMs {
		t.Errorf("renewed beyond its greatest lifetime: %+v, %v", token, err)
	}
}

func TestTokenExpire(t *testing.T) {
	tokens := NewTokens(TokenOptions{SecretKey: "secret"})
	for _, tt := range []struct {
		p      *Principal
		mac    string
		period int64
		after  int64
		code   int16
		expiry int64
		remove bool
	}{
		{alice, "mac", -1, 0, 0, 0, true}, {bob, "mac", -1, 100, 0, 100, true}, {alice, "mac", -1, 9000, 0, 9000, true}, // even when it is over
		{alice, "mac", 0, 100, 0, 100, false}, {alice, "mac", 500, 0, 0, 500, false}, {alice, "mac", math.MaxInt64, 0, 0, 5000, false},
		{alice, "mac", 500, 1001, 66, 0, false}, {root, "mac", -1, 0, 63, 0, false}, {alice, "x", -1, 0, 62, 0, false},
	} {
		token, remove, err := tokens.Expire(tokenImage(), tt.p, []byte(tt.mac), tt.period, noon.Add(time.Duration(tt.after)*time.Millisecond))
		wantCode(t, fmt.Sprint(tt), err, tt.code)
		if remove != tt.remove || err == nil && token.ExpiryMs-noon.UnixMilli() != tt.expiry {
			t.Errorf("%+v: expires after %d ms, removed %v", tt, token.ExpiryMs-noon.UnixMilli(), remove)
		}
	}
}

func TestTokenDescribe(t *testing.T) {
	tokens := NewTokens(TokenOptions{SecretKey: "secret"})
	erin, dave := Principal{Type: "User", Name: "erin"}, Principal{Type: "User", Name: "dave"}
	no := func(*cluster.Token) bool { return false }
	yes := func(*cluster.Token) bool { return true }
	for _, tt := range []struct {
		p      *Principal
		owners []Principal
		may    func(*cluster.Token) bool
		want   []string
	}{
		{alice, nil, no, []string{"t"}}, {bob, nil, no, []string{"t"}}, {&dave, nil, no, []string{"t"}}, {&erin, nil, no, []string{"u"}},
		{root, nil, no, nil}, {root, nil, yes, []string{"t", "u"}}, {alice, []Principal{}, yes, nil},
		{alice, []Principal{*alice}, no, []string{"t"}}, {alice, []Principal{*bob}, no, []string{"t"}},
		{alice, []Principal{erin}, no, nil}, {alice, []Principal{erin}, yes, []string{"u"}},
		{root, nil, func(t *cluster.Token) bool { return t.ID == "u" }, []string{"u"}},
	} {
		list, err := tokens.Describe(tokenImage(), tt.p, tt.owners, tt.may)
		var ids []string
		for _, token := range list {
			ids = append(ids, token.ID)
		}
		if err != nil || !slices.Equal(ids, tt.want) {
			t.Errorf("%v asks for %v: %v, %v", tt.p, tt.owners, ids, err)
		}
	}
}

func TestTokensExpired(t *testing.T) {
	for after, want := range map[int]int{0: 0, 1000: 0, 1001: 1, 9001: 2} {
		if ids := Expired(tokenImage(), noon.Add(time.Duration(after)*time.Millisecond)); len(ids) != want {
			t.Errorf("after %d ms: %v", after, ids)
		}
	}
}

package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	maxJWKSBytes    = 1 << 20
	maxJWKSKeys     = 256
	minRSABits      = 2048
	jwksFilePoll    = 5 * time.Second
	jwksTimeout     = 10 * time.Second       // of one fetch
	jwksWait        = 2 * time.Second        // of a login for keys it does not know
	jwksCooldown    = 10 * time.Second       // between two fetches that logins cause
	jwksBackoff     = 100 * time.Millisecond // after a failed fetch, doubled
	jwksBackoffMost = 10 * time.Second
)

// jwks is the public keys behind a URL: fetched by one goroutine, every
// o.Refresh or when a file changes, and earlier when a token names a key that
// is not known (keys were rotated). Such a login waits for the fetch, but
// strangers can cause one per cooldown only. When a fetch fails the keys at
// hand go on to be used.
type jwks struct {
	o       OAuthOptions
	path    string       // of a file
	client  *http.Client // of anything else
	current atomic.Pointer[keySet]

	ctx    context.Context // ends by close
	cancel context.CancelFunc
	woken  chan struct{} // room for one

	mu      sync.Mutex
	fetched chan struct{} // closed and replaced after each fetch
	pending bool          // a login asked for the fetch that comes
	asked   time.Time     // when a login asked last

	stat fileStamp // goroutine of run only
}

type fileStamp struct {
	mtime time.Time
	size  int64
}

func newJWKS(o OAuthOptions) (*jwks, error) {
	if o.Go == nil {
		return nil, errors.New("auth: OAuthOptions.Go is nil; the keys of bearer tokens are fetched by a goroutine")
	}
	u, err := url.Parse(o.JWKSURL)
	if err != nil {
		return nil, fmt.Errorf("auth: sasl.oauthbearer.jwks.endpoint.url %q is no URL: %w", o.JWKSURL, err)
	}
	k := &jwks{o: o, woken: make(chan struct{}, 1), fetched: make(chan struct{})}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.current.Store(&keySet{})
	switch {
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && u.Path != "":
		k.path = u.Path
		if err := k.fetch(); err != nil {
			return nil, err
		}
	case secureEndpoint(u):
		k.client = &http.Client{
			Timeout: jwksTimeout,
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true,
				MaxIdleConns: 1, IdleConnTimeout: time.Minute},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > 5 || !secureEndpoint(r.URL) {
					return fmt.Errorf("auth: the keys' URL redirects to %s, which is not followed", r.URL.Redacted())
				}
				return nil
			},
		}
		k.wake()
	default:
		return nil, fmt.Errorf("auth: sasl.oauthbearer.jwks.endpoint.url %q must be a file: or https: URL", u.Redacted())
	}
	o.Go("jwks", k.run)
	return k, nil
}

// secureEndpoint: https, or http to the machine itself.
func secureEndpoint(u *url.URL) bool {
	if u.Scheme == "https" {
		return u.Host != ""
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}

func (k *jwks) close() {
	k.cancel()
	if k.client != nil {
		k.client.CloseIdleConnections()
	}
}

func (k *jwks) wake() {
	select {
	case k.woken <- struct{}{}:
	default: // one is waiting already
	}
}

// run fetches until close.
func (k *jwks) run() {
	every := k.o.Refresh
	if k.path != "" {
		every = jwksFilePoll
	}
	backoff := jwksBackoff
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-timer.C:
		case <-k.woken:
		}
		next := every
		if err := k.fetch(); err != nil {
			if k.ctx.Err() != nil {
				return
			}
			next = min(backoff, every)
			backoff = min(2*backoff, jwksBackoffMost)
			k.o.Logger.Warn("the keys of bearer tokens could not be read; those at hand go on to be used",
				"url", redacted(k.o.JWKSURL), "keys", k.current.Load().size(), "retry", next, "error", err)
		} else {
			backoff = jwksBackoff
		}
		timer.Reset(next)
		k.mu.Lock()
		close(k.fetched)
		k.fetched = make(chan struct{})
		k.pending = false
		k.mu.Unlock()
	}
}

func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// fetch reads the keys and puts them in place.
func (k *jwks) fetch() error {
	var raw []byte
	var err error
	if k.path != "" {
		raw, err = k.read()
		if raw == nil && err == nil {
			return nil // as it was
		}
	} else {
		raw, err = k.get()
	}
	if err != nil {
		return err
	}
	set, err := parseJWKS(raw)
	if err != nil {
		return fmt.Errorf("auth: the keys at %s: %w", redacted(k.o.JWKSURL), err)
	}
	for _, why := range set.skipped {
		k.o.Logger.Warn("a key for bearer tokens is not used", "url", redacted(k.o.JWKSURL), "reason", why)
	}
	k.current.Store(set)
	return nil
}

// read gives nil when the file has not changed.
func (k *jwks) read() ([]byte, error) {
	f, err := os.Open(k.path)
	if err != nil {
		return nil, fmt.Errorf("auth: the keys of bearer tokens: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("auth: the keys of bearer tokens: %w", err)
	}
	stamp := fileStamp{info.ModTime(), info.Size()}
	if stamp == k.stat {
		return nil, nil
	}
	raw, err := readBounded(f)
	if err == nil {
		k.stat = stamp
	}
	return raw, err
}

func (k *jwks) get() ([]byte, error) {
	req, err := http.NewRequestWithContext(k.ctx, http.MethodGet, k.o.JWKSURL, nil)
	if err != nil {
		return nil, fmt.Errorf("auth: the keys of bearer tokens: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("auth: the keys of bearer tokens: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("auth: the keys of bearer tokens: %s answered %s", redacted(k.o.JWKSURL), resp.Status)
	}
	return readBounded(resp.Body)
}

func readBounded(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxJWKSBytes+1))
	if err != nil {
		return nil, fmt.Errorf("auth: the keys of bearer tokens: %w", err)
	}
	if len(raw) > maxJWKSBytes {
		return nil, fmt.Errorf("auth: the keys of bearer tokens have more than %d bytes", maxJWKSBytes)
	}
	return raw, nil
}

// verifying gives the keys that may have signed the token; it waits for a fetch
// if none is known.
func (k *jwks) verifying(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	alg := t.Method.Alg()
	keys := k.current.Load().candidates(id, alg)
	if len(keys) == 0 && k.await(time.Now()) {
		keys = k.current.Load().candidates(id, alg)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no key is known for the key id %q and the algorithm %s", claimed(id), alg)
	}
	return jwt.VerificationKeySet{Keys: keys}, nil
}

// await has the keys fetched, unless a login had them fetched just before, and
// waits for it. now is of the machine's clock: it paces fetches only.
func (k *jwks) await(now time.Time) bool {
	k.mu.Lock()
	done := k.fetched
	if !k.pending {
		if now.Sub(k.asked) < jwksCooldown {
			k.mu.Unlock()
			return false
		}
		k.asked, k.pending = now, true
		k.wake()
	}
	k.mu.Unlock()
	timer := time.NewTimer(jwksWait)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-k.ctx.Done():
	}
	return false
}

// keySet is the usable keys of one fetch. Immutable.
type keySet struct {
	keys    []verifyKey
	skipped []string // why others are not in it
}

type verifyKey struct {
	id, alg string // alg "" for any that fits the key
	key     jwt.VerificationKey
}

func (s *keySet) size() int { return len(s.keys) }

// candidates are the keys with the id, or all when the token names none, that
// can be of the algorithm; at most 16.
func (s *keySet) candidates(id, alg string) (keys []jwt.VerificationKey) {
	for _, k := range s.keys {
		if (id == "" || k.id == id) && k.fits(alg) && len(keys) < 16 {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// fits holds the token's algorithm against the key, so that a key never
// verifies by an algorithm of another family.
func (k *verifyKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return len(alg) == 5 && (alg[:2] == "RS" || alg[:2] == "PS")
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256:
			return alg == "ES256"
		case 384:
			return alg == "ES384"
		case 521:
			return alg == "ES512"
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// parseJWKS takes the public keys that can verify a signature out of a JSON web
// key set; what else is in it is skipped. A private key counts by its public
// half.
func parseJWKS(raw []byte) (*keySet, error) {
	var file struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("this is no JSON web key set: %w", err)
	}
	if len(file.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("there are %d keys, more than %d", len(file.Keys), maxJWKSKeys)
	}
	set := &keySet{}
	for i, one := range file.Keys {
		key, err := parseJWK(one)
		if err != nil {
			set.skipped = append(set.skipped, fmt.Sprintf("key %d (id %q): %v", i, claimed(key.id), err))
			continue
		}
		set.keys = append(set.keys, key)
	}
	if len(set.keys) == 0 {
		return nil, fmt.Errorf("none of the %d keys can verify a signature: %v", len(file.Keys), set.skipped)
	}
	return set, nil
}

func parseJWK(raw json.RawMessage) (verifyKey, error) {
	var head jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &head); err != nil {
		return verifyKey{}, errors.New("it is no JSON web key")
	}
	k := verifyKey{id: head.KID, alg: string(head.ALG)}
	if head.KTY == jwkset.KtyOct {
		return k, errors.New("it is a shared secret, with which anybody who can check a token could make one")
	}
	if head.USE != "" && head.USE != jwkset.UseSig {
		return k, fmt.Errorf("its use is %q and not sig", head.USE)
	}
	verify := len(head.KEYOPS) == 0
	for _, op := range head.KEYOPS {
		verify = verify || op == jwkset.KeyOpsVerify || op == jwkset.KeyOpsSign
	}
	if !verify {
		return k, fmt.Errorf("its key_ops %v do not have verify", head.KEYOPS)
	}
	jwk, err := jwkset.NewJWKFromMarshal(head, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return k, err
	}
	switch key := jwk.Key().(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return k, fmt.Errorf("it has %d bits; RSA keys need %d", key.N.BitLen(), minRSABits)
		}
		k.key = key
	case *ecdsa.PublicKey:
		k.key = key
	case ed25519.PublicKey:
		k.key = key
	default:
		return k, fmt.Errorf("its type %s is not RSA, EC or Ed25519", head.KTY)
	}
	return k, nil
}

package auth

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// This file reads keys and certificates out of PEM text.

// maxPEM bounds a key store or trust store.
const maxPEM = 8 << 20

func readPEM(key, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", key, err)
	}
	if info.Size() > maxPEM {
		return nil, fmt.Errorf("auth: %s: %s has %d bytes, more than %d", key, path, info.Size(), maxPEM)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", key, err)
	}
	return raw, nil
}

// certificate reads a private key and the chain that begins with its
// certificate, from one text or two.
func certificate(chain, key []byte, password string) (*tls.Certificate, error) {
	c := &tls.Certificate{}
	for rest := chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			c.Certificate = append(c.Certificate, block.Bytes)
		}
	}
	if len(c.Certificate) == 0 {
		return nil, errors.New("there is no BEGIN CERTIFICATE in it")
	}
	private, err := privateKey(key, password)
	if err != nil {
		return nil, err
	}
	c.PrivateKey = private
	if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		return nil, fmt.Errorf("its first certificate cannot be read: %w", err)
	}
	public, ok := c.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(private.Public()) {
		return nil, errors.New("the private key is not that of its first certificate; the server's own certificate must come first")
	}
	if len(c.Leaf.ExtKeyUsage)+len(c.Leaf.UnknownExtKeyUsage) != 0 &&
		!slices.Contains(c.Leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(c.Leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil, errors.New("its certificate is not for servers: the extended key usage lacks serverAuth")
	}
	return c, nil
}

func privateKey(text []byte, password string) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("there is no private key in it (BEGIN PRIVATE KEY)")
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		der := block.Bytes
		switch {
		case block.Headers["DEK-Info"] != "":
			return nil, errors.New("the private key is encrypted in OpenSSL's old way; convert it by openssl pkcs8 -topk8")
		case block.Type == "ENCRYPTED PRIVATE KEY":
			if password == "" {
				return nil, errors.New("the private key is encrypted and ssl.key.password is not set")
			}
			var err error
			if der, err = decryptPKCS8(der, password); err != nil {
				return nil, err
			}
		}
		return parsePrivateKey(block.Type, der)
	}
}

func parsePrivateKey(kind string, der []byte) (crypto.Signer, error) {
	var key any
	var err error
	switch kind {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	default:
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		if kind == "ENCRYPTED PRIVATE KEY" {
			return nil, errKeyPassword // padding that came out right by chance
		}
		return nil, errors.New("the private key cannot be read: it is not PKCS#8, PKCS#1 or SEC 1")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key's type %T cannot sign", key)
	}
	return signer, nil
}

// authorities reads the certificates of a trust store.
func authorities(text []byte) (*x509.CertPool, int, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, 0, fmt.Errorf("certificate %d in it cannot be read: %w", n+1, err)
		}
		pool.AddCert(c)
		n++
	}
	if n == 0 {
		return nil, 0, errors.New("there is no BEGIN CERTIFICATE in it")
	}
	return pool, n, nil
}

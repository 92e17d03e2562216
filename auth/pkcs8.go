package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// This file opens encrypted private keys (PKCS#8 with PBES2 of RFC 8018, what
// `openssl pkcs8 -topk8` writes and Java's PEM key stores take), which Go's
// standard library does not.

type encryptedKey struct {
	Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params pbes2
	}
	Data []byte
}

type pbes2 struct {
	Derivation struct {
		OID    asn1.ObjectIdentifier
		Params pbkdf2Params
	}
	Cipher struct {
		OID asn1.ObjectIdentifier
		IV  []byte
	}
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int `asn1:"optional"`
	PRF        struct {
		OID  asn1.ObjectIdentifier
		Null asn1.RawValue `asn1:"optional"`
	} `asn1:"optional"`
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// maxKeyIterations bounds the work of a broken key file; openssl writes 2048.
const maxKeyIterations = 1_000_000

var errKeyPassword = errors.New("the private key cannot be decrypted: ssl.key.password is wrong")

// decryptPKCS8 gives the DER of the plain key.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var k encryptedKey
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) != 0 {
		return nil, errors.New("the encrypted private key is not PKCS#8 with PBES2; convert it by openssl pkcs8 -topk8 -v2 aes256")
	}
	p := k.Algorithm.Params
	if !k.Algorithm.OID.Equal(oidPBES2) || !p.Derivation.OID.Equal(oidPBKDF2) {
		return nil, errors.New("the encrypted private key does not use PBES2 with PBKDF2; convert it by openssl pkcs8 -topk8 -v2 aes256")
	}
	if n := p.Derivation.Params.Iterations; n < 1 || n > maxKeyIterations {
		return nil, fmt.Errorf("the encrypted private key asks for %d iterations of PBKDF2, which is not between 1 and %d", n, maxKeyIterations)
	}
	prf, err := keyPRF(p.Derivation.Params.PRF.OID)
	if err != nil {
		return nil, err
	}
	size, block, err := keyCipher(p.Cipher.OID)
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(prf, password, p.Derivation.Params.Salt, p.Derivation.Params.Iterations, size)
	if err != nil {
		return nil, fmt.Errorf("deriving the private key's key: %w", err)
	}
	c, err := block(key)
	if err != nil {
		return nil, fmt.Errorf("deriving the private key's key: %w", err)
	}
	if len(p.Cipher.IV) != c.BlockSize() || len(k.Data) == 0 || len(k.Data)%c.BlockSize() != 0 {
		return nil, errors.New("the encrypted private key is cut or damaged")
	}
	plain := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(c, p.Cipher.IV).CryptBlocks(plain, k.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > c.BlockSize() {
		return nil, errKeyPassword
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errKeyPassword
		}
	}
	return plain[:len(plain)-pad], nil
}

func keyPRF(oid asn1.ObjectIdentifier) (func() hash.Hash, error) {
	switch oid.String() {
	case "", "1.2.840.113549.2.7": // hmacWithSHA1 is the default
		return sha1.New, nil
	case "1.2.840.113549.2.9":
		return sha256.New, nil
	case "1.2.840.113549.2.10":
		return sha512.New384, nil
	case "1.2.840.113549.2.11":
		return sha512.New, nil
	}
	return nil, fmt.Errorf("the encrypted private key derives by %v, which is not HMAC with SHA-1 or SHA-2", oid)
}

func keyCipher(oid asn1.ObjectIdentifier) (size int, block func([]byte) (cipher.Block, error), err error) {
	switch oid.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher, nil
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher, nil
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher, nil
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher, nil
	}
	return 0, nil, fmt.Errorf("the encrypted private key is encrypted by %v, which is not AES-CBC or 3DES-CBC", oid)
}

package compare

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/chronik-stream/chronik/bench"
)

// The one user of the encrypted peers. It lives as long as a comparison, on
// loopback, in a broker that holds nothing else.
const secureUser, securePassword = "bench", "bench-secret"

// login is how a load on an encrypted peer authenticates.
func login() scram.Auth { return scram.Auth{User: secureUser, Pass: securePassword} }

// certificate makes a self-signed certificate for loopback, writes it and its
// key into dir as Kafka's PEM keystore, and gives the client's side.
func certificate(dir string) (keystore string, client *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	shape := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, shape, shape, &key.PublicKey, key)
	if err != nil {
		return "", nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keystore = filepath.Join(dir, "keystore.pem")
	if err := os.WriteFile(keystore, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), public...), 0o600); err != nil {
		return "", nil, err
	}
	client = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	if !client.RootCAs.AppendCertsFromPEM(public) {
		return "", nil, errors.New("BUG: the certificate just made cannot be read")
	}
	return keystore, client, nil
}

// secure makes the certificate and gives the configuration of a second listener
// with it, on port; plain is that of the first.
func (i *instance) secure(plain, port int, controller string) (keys []string, err error) {
	keystore, client, err := certificate(i.dir)
	if err != nil {
		return nil, err
	}
	i.tls, i.plain, i.addr = client, i.addr, fmt.Sprintf("127.0.0.1:%d", port)
	listeners := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,SASL_SSL://%s%s", plain, i.addr, controller)
	return []string{"listeners=" + listeners, "advertised.listeners=" + listeners, "sasl.enabled.mechanisms=SCRAM-SHA-256",
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + keystore}, nil
}

// addUser makes the user, over the plain listener.
func (i *instance) addUser(ctx context.Context) error {
	client, err := kgo.NewClient(bench.Target{Bootstrap: i.plain}.Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	made, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: secureUser, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: securePassword}})
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("making the user %s: %w", secureUser, err)
	}
	return nil
}

package cluster

import "fmt"

// brokerSecurity is TLS, SASL, authorization and delegation tokens. Keys that
// only a client of other brokers or a JVM needs are in brokerUnused.
var brokerSecurity = []ConfigDef{
	{Name: "allow.everyone.if.no.acl.found", Type: TypeBool, Default: "false",
		Doc: "Whether a resource that no ACL names is open to everyone who is authenticated."},
	{Name: "authorizer.class.name", Type: TypeString, Default: "", Check: authorizerClass,
		Doc: "Kafka's authorizer. Empty, or StandardAuthorizer's name, which switches ACLs on for listeners without authentication too."},
	{Name: "delegation.token.expiry.check.interval.ms", Type: TypeLong, Default: "3600000", Check: atLeast(1),
		Doc: "How often expired delegation tokens are removed, in milliseconds."},
	{Name: "delegation.token.expiry.time.ms", Type: TypeLong, Default: "86400000", Check: atLeast(1),
		Doc: "How long a delegation token is good until it is renewed, in milliseconds."},
	{Name: "delegation.token.max.lifetime.ms", Type: TypeLong, Default: "604800000", Check: atLeast(1),
		Doc: "How long a delegation token can live by renewing it, in milliseconds."},
	{Name: "delegation.token.secret.key", Type: TypePassword, NullDefault: true,
		Doc: "The secret that delegation tokens are signed with; without it there are none."},
	{Name: "principal.builder.class", Type: TypeClass, Default: "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Dynamic: PerBroker, Unused: true,
		Doc: "A Java class that names who is connected. Classes of the JVM cannot be loaded here; ssl.principal.mapping.rules names TLS clients."},
	{Name: "sasl.enabled.mechanisms", Type: TypeList, Default: "GSSAPI", Dynamic: PerBroker, Check: someOf(true, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"),
		Doc: "The SASL mechanisms that clients may use: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER. GSSAPI is Kafka's default and is not offered here."},
	{Name: "sasl.jaas.config", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "A JAAS login entry. Of its options those that name users of PLAIN and unsecured OAUTHBEARER claims are understood."},
	{Name: "sasl.oauthbearer.clock.skew.seconds", Type: TypeInt, Default: "30", Check: atLeast(0),
		Doc: "Seconds by which a token's clock may differ from the broker's."},
	{Name: "sasl.oauthbearer.expected.audience", Type: TypeList, Default: "",
		Doc: "Audiences of which a token must name one; empty takes every audience."},
	{Name: "sasl.oauthbearer.expected.issuer", Type: TypeString, NullDefault: true,
		Doc: "The issuer that a token must name; without it every issuer is taken whose key is known."},
	{Name: "sasl.oauthbearer.jwks.endpoint.refresh.ms", Type: TypeLong, Default: "3600000", Check: atLeast(1),
		Doc: "How often the keys of token issuers are read again, in milliseconds."},
	{Name: "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Type: TypeLong, Default: "10000", Check: atLeast(0),
		Doc: "The longest wait between two tries to read the keys, in milliseconds."},
	{Name: "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Type: TypeLong, Default: "100", Check: atLeast(0),
		Doc: "The first wait between two tries to read the keys, in milliseconds."},
	{Name: "sasl.oauthbearer.jwks.endpoint.url", Type: TypeString, NullDefault: true,
		Doc: "Where the keys of token issuers are (JWKS): a https: or file: URL."},
	{Name: "sasl.oauthbearer.scope.claim.name", Type: TypeString, Default: "scope", Check: notEmpty,
		Doc: "The claim that holds a token's scopes."},
	{Name: "sasl.oauthbearer.sub.claim.name", Type: TypeString, Default: "sub", Check: notEmpty,
		Doc: "The claim that names who a token is for."},
	{Name: "sasl.server.max.receive.size", Type: TypeInt, Default: "524288", Check: atLeast(1),
		Doc: "The largest SASL token of a client, in bytes."},
	{Name: "ssl.cipher.suites", Type: TypeList, Default: "", Dynamic: PerBroker,
		Doc: "The cipher suites of TLS 1.2 that are offered; empty is the library's safe choice. Those of TLS 1.3 are fixed."},
	{Name: "ssl.client.auth", Type: TypeString, Default: "none", Dynamic: PerBroker, Check: oneOf("required", "requested", "none"),
		Doc: "Whether TLS clients must show a certificate (required), may (requested), or are not asked (none)."},
	{Name: "ssl.enabled.protocols", Type: TypeList, Default: "TLSv1.2,TLSv1.3", Dynamic: PerBroker, Check: someOf(false, "TLSv1.2", "TLSv1.3"),
		Doc: "The versions of TLS that are spoken: TLSv1.2, TLSv1.3."},
	{Name: "ssl.key.password", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "The password of the private key, if it has one."},
	{Name: "ssl.keystore.certificate.chain", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "The broker's certificate and those above it, as PEM text."},
	{Name: "ssl.keystore.key", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "The broker's private key, as PEM text (PKCS #8)."},
	{Name: "ssl.keystore.location", Type: TypeString, NullDefault: true, Dynamic: PerBroker,
		Doc: "The file with the broker's private key and certificates."},
	{Name: "ssl.keystore.password", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "The password of the key store file. PEM files have none; ssl.key.password is the key's."},
	{Name: "ssl.keystore.type", Type: TypeString, Default: "JKS", Dynamic: PerBroker, Check: notEmpty,
		Doc: "The form of the key store. PEM is the one that is read here; JKS is only Kafka's default."},
	{Name: "ssl.principal.mapping.rules", Type: TypeString, Default: "DEFAULT", Check: notEmpty,
		Doc: "How a certificate's subject becomes a user: RULE:pattern/replacement/[LU] items, the first that matches, or DEFAULT for the whole subject."},
	{Name: "ssl.protocol", Type: TypeString, Default: "TLSv1.3", Dynamic: PerBroker, Check: oneOf("TLSv1.3", "TLSv1.2", "TLS"),
		Doc: "The newest version of TLS that is spoken."},
	{Name: "ssl.truststore.certificates", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "The authorities that may sign client certificates, as PEM text."},
	{Name: "ssl.truststore.location", Type: TypeString, NullDefault: true, Dynamic: PerBroker,
		Doc: "The file with the authorities that may sign client certificates."},
	{Name: "ssl.truststore.password", Type: TypePassword, NullDefault: true, Dynamic: PerBroker,
		Doc: "The password of the trust store file. PEM files have none."},
	{Name: "ssl.truststore.type", Type: TypeString, Default: "JKS", Dynamic: PerBroker, Check: notEmpty,
		Doc: "The form of the trust store. PEM is the one that is read here; JKS is only Kafka's default."},
	{Name: "super.users", Type: TypeString, Default: "", Check: superUsers,
		Doc: "Users to whom no ACL applies, as User:name with semicolons between them."},
}

// StandardAuthorizer is the Java name of the authorizer whose rules hold here.
const StandardAuthorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

func authorizerClass(v string) error {
	if v != "" && v != StandardAuthorizer {
		return fmt.Errorf("classes of the JVM cannot be loaded; it must be empty or %s", StandardAuthorizer)
	}
	return nil
}

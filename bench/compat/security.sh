# Shared by the security cases: a broker with a listener of every protocol that
# authenticates. Sourced by a case after lib.sh.

# certificates makes an authority, a broker's certificate and a client's (CN=carol).
certificates() {
	local d=$COMPAT_TMP/tls name; mkdir -p "$d"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout "$d/ca.key" -out "$d/ca.pem" 2> /dev/null
	for name in broker carol; do
		openssl req -newkey rsa:2048 -nodes -subj "/O=Compat/CN=$name" -keyout "$d/$name.key" -out "$d/$name.csr" 2> /dev/null
		printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=%s\n' "$([ $name = broker ] && echo serverAuth || echo clientAuth)" > "$d/$name.ext"
		openssl x509 -req -in "$d/$name.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 2 -extfile "$d/$name.ext" -out "$d/$name.crt" 2> /dev/null
		cat "$d/$name.key" "$d/$name.crt" > "$d/$name.pem"
	done
	TLS_DIR=$d
}

# secure_settings gives the next start_broker its listeners and users: the super
# user admin, bob (PLAIN from a JAAS entry, no ACL) and the certificate's carol.
secure_settings() {
	certificates
	PORT=$(free_port); SASL_SSL_PORT=$(free_port); MTLS_PORT=$(free_port)
	export PORT SASL_SSL_PORT MTLS_PORT TLS_DIR
	listeners=SASL_PLAINTEXT://127.0.0.1:$PORT,SASL_SSL://127.0.0.1:$SASL_SSL_PORT,MTLS://127.0.0.1:$MTLS_PORT
	printf 'admin-secret\n' > "$COMPAT_TMP/password"
	serve_flags="--admin-user admin --admin-password-file $COMPAT_TMP/password"
	settings+=(listener.security.protocol.map=MTLS:SSL
		ssl.keystore.type=PEM "ssl.keystore.location=$TLS_DIR/broker.pem"
		ssl.truststore.type=PEM "ssl.truststore.location=$TLS_DIR/ca.pem"
		listener.name.mtls.ssl.client.auth=required 'ssl.principal.mapping.rules=RULE:^CN=([^,]*),.*$/$1/L,DEFAULT'
		sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
		'sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_bob="bob-secret";'
		super.users=User:carol delegation.token.secret.key=token-secret
		authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer)
}

# no_secrets fails when a password stands in a log of the broker's.
no_secrets() {
	local secret
	for secret in admin-secret bob-secret token-secret alice-secret "$@"; do
		! grep -aF "$secret" "$COMPAT_TMP/broker.log" "$BROKER_DATA/audit.log" || fail "a log holds a secret"
	done
	grep -q '"kind":"bad_password"' "$BROKER_DATA/audit.log" || fail "no audit line of a wrong password"
	grep -q '"result":"denied"' "$BROKER_DATA/audit.log" || fail "no audit line of a denial"
}

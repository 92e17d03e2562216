# Shared by the security cases: a broker with a listener of every protocol that
# authenticates. Sourced by a case after lib.sh.

# certificates makes an authority, a broker's certificate and a client's (CN=carol).
certificates() {
	local d=$COMPAT_TMP/tls name; mkdir -p "$d"
	for name in ca stranger; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout "$d/$name.key" -out "$d/$name.pem" 2> /dev/null
	done
	for name in broker carol; do
		openssl req -newkey rsa:2048 -nodes -subj "/O=Compat/CN=$name" -keyout "$d/$name.key" -out "$d/$name.csr" 2> /dev/null
		printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=%s\n' "$([ $name = broker ] && echo serverAuth || echo clientAuth)" > "$d/$name.ext"
		openssl x509 -req -in "$d/$name.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 2 -extfile "$d/$name.ext" -out "$d/$name.crt" 2> /dev/null
		cat "$d/$name.key" "$d/$name.crt" > "$d/$name.pem"
	done
	TLS_DIR=$d
}

# tokens makes the keys of bearer tokens and two of oscar's: one that holds and
# one whose time is over.
tokens() {
	openssl genrsa -out "$TLS_DIR/jwt.key" 2048 2> /dev/null
	python3 - "$TLS_DIR" <<-'PY'
		import base64, json, subprocess, sys, time
		d = sys.argv[1]
		b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
		n = subprocess.run(["openssl", "rsa", "-in", d + "/jwt.key", "-noout", "-modulus"], capture_output=True, check=True).stdout
		n = bytes.fromhex(n.decode().strip().split("=")[1])
		json.dump({"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": b64(n), "e": "AQAB"}]}, open(d + "/jwks.json", "w"))
		for name, left in (("good", 600), ("expired", -600)):
		    now = int(time.time())
		    claims = {"iss": "compat", "aud": "kafka", "sub": "oscar", "iat": now - 900, "exp": now + left}
		    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "one"}, claims))
		    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", d + "/jwt.key"], input=text.encode(), capture_output=True, check=True)
		    open(d + "/" + name + ".jwt", "w").write(text + "." + b64(done.stdout))
	PY
}

# secure_settings gives the next start_broker its listeners and users: the super
# user admin, bob (PLAIN from a JAAS entry, no ACL), the certificate's carol and the
# bearer tokens' oscar.
secure_settings() {
	certificates
	tokens
	PORT=$(free_port); SASL_SSL_PORT=$(free_port); MTLS_PORT=$(free_port)
	export PORT SASL_SSL_PORT MTLS_PORT TLS_DIR
	listeners=SASL_PLAINTEXT://127.0.0.1:$PORT,SASL_SSL://127.0.0.1:$SASL_SSL_PORT,MTLS://127.0.0.1:$MTLS_PORT
	printf 'admin-secret\n' > "$COMPAT_TMP/password"
	# Secrets stand in no argument of a process.
	cat > "$COMPAT_TMP/broker.properties" <<-'END'
		sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_bob="bob-secret";
		delegation.token.secret.key=token-secret
	END
	serve_flags="--config $COMPAT_TMP/broker.properties --pprof --admin-user admin --admin-password-file $COMPAT_TMP/password"
	settings+=(listener.security.protocol.map=MTLS:SSL
		ssl.keystore.type=PEM "ssl.keystore.location=$TLS_DIR/broker.pem"
		ssl.truststore.type=PEM "ssl.truststore.location=$TLS_DIR/ca.pem"
		listener.name.mtls.ssl.client.auth=required 'ssl.principal.mapping.rules=RULE:^CN=([^,]*),.*$/$1/L,DEFAULT'
		sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
		"sasl.oauthbearer.jwks.endpoint.url=file://$TLS_DIR/jwks.json" sasl.oauthbearer.expected.issuer=compat sasl.oauthbearer.expected.audience=kafka
		'super.users=User:carol;User:oscar'
		authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer)
}

# no_secrets [SECRET…] fails when a secret stands in a file of the broker's, in its
# arguments or on its admin server. The certificates' directory is the clients'.
no_secrets() {
	printf '%s\n' admin-secret bob-secret token-secret alice-secret "$(cut -d. -f3 "$TLS_DIR/good.jwt")" > "$COMPAT_TMP/secrets"
	"$COMPAT_ROOT/bin/chronik" bench leaks --secrets "$COMPAT_TMP/secrets" --pid "$BROKER_PID" --admin "http://$ADMIN" \
		--user admin --password-file "$COMPAT_TMP/password" "$COMPAT_TMP/broker.log" "$BROKER_DATA" || fail "the broker shows a secret"
	# The metadata log keeps a delegation token's HMAC; nothing else does.
	[ $# -eq 0 ] || printf '%s\n' "$@" | "$COMPAT_ROOT/bin/chronik" bench leaks --pid "$BROKER_PID" --admin "http://$ADMIN" \
		--user admin --password-file "$COMPAT_TMP/password" "$COMPAT_TMP/broker.log" "$BROKER_DATA/audit.log" || fail "the broker shows a token"
	audit_line '"kind":"bad_password"'
	audit_line '"result":"denied"'
}

# whole_matrix checks the audit lines of a client that tried every way in, and
# every refusal: who came in how, and what kind each refusal was.
whole_matrix() {
	local listener mechanism user kind
	for listener in SASL_PLAINTEXT SASL_SSL; do
		for mechanism in PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER; do
			user=admin; [ $mechanism != OAUTHBEARER ] || user=oscar
			audit_line '"event":"authentication","result":"ok"' "\"principal\":\"User:$user\"" "\"listener\":\"$listener\"" "\"mechanism\":\"$mechanism\""
			kind=bad_password; [ $mechanism != OAUTHBEARER ] || kind=expired
			audit_line '"result":"refused"' "\"kind\":\"$kind\"" "\"claimed\":\"$user\"" "\"listener\":\"$listener\"" "\"mechanism\":\"$mechanism\""
		done
	done
	audit_line '"result":"ok"' '"principal":"User:carol"' '"listener":"MTLS"'
	audit_line '"result":"refused"' '"kind":"certificate"' '"listener":"MTLS"'
	audit_line '"result":"denied"' '"principal":"User:bob"'
	audit_line '"result":"refused"' '"listener":"SASL_SSL"' "does not accept the broker's certificate"
	no_secrets
}
# audit_line TEXT… waits for a line with all of that.
audit_line() {
	local i
	for i in $(seq 100); do audited "$@" && return 0; sleep 0.1; done
	fail "the audit log has no line with $*"
}
audited() {
	local file=$COMPAT_TMP/audit.lines text
	cp "$BROKER_DATA/audit.log" "$file"
	for text in "$@"; do grep -F -e "$text" "$file" > "$file.new" || return 1; mv "$file.new" "$file"; done
}

# Apache Kafka's own tools: acls, users, quotas and delegation tokens by their
# own commands, the console clients over every protocol.
. "$COMPAT_HERE/security.sh"
setup() { kafka_setup; secure_settings; }

# properties NAME PROTOCOL [MECHANISM USER PASSWORD [LOGIN OPTION…]] writes a client's file.
properties() {
	local file=$COMPAT_TMP/$1.properties protocol=$2 module=plain.PlainLoginModule
	echo "security.protocol=$protocol" > "$file"
	case $protocol in *SSL) printf 'ssl.truststore.type=PEM\nssl.truststore.location=%s/ca.pem\n' "$TLS_DIR" >> "$file" ;; esac
	[ "$protocol" != SSL ] || printf 'ssl.keystore.type=PEM\nssl.keystore.location=%s/carol.pem\n' "$TLS_DIR" >> "$file"
	[ $# -gt 2 ] || return 0
	[ "$3" = PLAIN ] || module=scram.ScramLoginModule
	printf 'sasl.mechanism=%s\nsasl.jaas.config=org.apache.kafka.common.security.%s required username="%s" password="%s" %s;\n' "$3" "$module" "$4" "$5" "${6:-}" >> "$file"
}

run_case() {
	local admin=$COMPAT_TMP/admin.properties alice=$COMPAT_TMP/alice.properties plain=127.0.0.1:$PORT tls=127.0.0.1:$SASL_SSL_PORT mtls=127.0.0.1:$MTLS_PORT
	properties admin SASL_PLAINTEXT SCRAM-SHA-512 admin admin-secret
	properties alice SASL_SSL SCRAM-SHA-256 alice alice-secret
	properties carol SSL
	properties wrong SASL_SSL PLAIN admin wrong

	kafka_tool configs --bootstrap-server "$plain" --command-config "$admin" --alter --entity-type users --entity-name alice --add-config 'SCRAM-SHA-256=[iterations=4096,password=alice-secret],SCRAM-SHA-512=[password=alice-secret]' ||
		kafka_tool configs --bootstrap-server "$plain" --command-config "$admin" --alter --entity-type users --entity-name alice --add-config 'SCRAM-SHA-256=[iterations=4096,password=alice-secret]'
	kafka_tool configs --bootstrap-server "$plain" --command-config "$admin" --describe --entity-type users --entity-name alice | tee "$COMPAT_TMP/users"
	grep -q 'SCRAM-SHA-256=iterations=4096' "$COMPAT_TMP/users" || fail "the user is not described"

	kafka_tool topics --bootstrap-server "$mtls" --command-config "$COMPAT_TMP/carol.properties" --create --topic secured --partitions 1 --replication-factor 1
	! echo no | kafka_tool console-producer --bootstrap-server "$tls" --command-config "$alice" --topic secured > "$COMPAT_TMP/denied" 2>&1 || grep -q 'TopicAuthorizationException\|Not authorized' "$COMPAT_TMP/denied" || { cat "$COMPAT_TMP/denied"; fail "alice may write without an ACL"; }
	kafka_tool acls --bootstrap-server "$plain" --command-config "$admin" --add --allow-principal User:alice --producer --topic secured
	kafka_tool acls --bootstrap-server "$plain" --command-config "$admin" --add --allow-principal User:alice --consumer --topic secured --group 'secured-' --resource-pattern-type prefixed
	kafka_tool acls --bootstrap-server "$plain" --command-config "$admin" --list --topic secured | tee "$COMPAT_TMP/acls"
	grep -q 'principal=User:alice, host=\*, operation=WRITE, permissionType=ALLOW' "$COMPAT_TMP/acls" || fail "the ACL is not listed"
	echo value | kafka_tool console-producer --bootstrap-server "$tls" --command-config "$alice" --topic secured
	kafka_tool console-consumer --bootstrap-server "$tls" --command-config "$alice" --topic secured --group secured-1 --from-beginning --max-messages 1 --timeout-ms 20000 | tee "$COMPAT_TMP/out"
	grep -qx value "$COMPAT_TMP/out" || fail "alice did not read what she wrote"
	! kafka_tool topics --bootstrap-server "$tls" --command-config "$COMPAT_TMP/wrong.properties" --list > "$COMPAT_TMP/wrong" 2>&1 || fail "a wrong password was let in"
	grep -q 'SaslAuthenticationException\|Authentication failed' "$COMPAT_TMP/wrong" || { cat "$COMPAT_TMP/wrong"; fail "the error of a wrong password"; }

	kafka_tool configs --bootstrap-server "$plain" --command-config "$admin" --alter --entity-type users --entity-name alice --entity-type clients --entity-default --add-config producer_byte_rate=1048576
	kafka_tool configs --bootstrap-server "$plain" --command-config "$admin" --describe --entity-type users --entity-name alice --entity-type clients --entity-default | grep -q 'producer_byte_rate=1048576' || fail "the quota is not described"

	kafka_tool delegation-tokens --bootstrap-server "$plain" --command-config "$admin" --create --max-life-time-period -1 --renewer-principal User:alice | tee "$COMPAT_TMP/token"
	local id hmac; read -r id hmac < <(awk 'NF >= 7 && $1 !~ /TOKENID|Calling|Created/ {print $1, $2}' "$COMPAT_TMP/token")
	properties token SASL_PLAINTEXT SCRAM-SHA-256 "$id" "$hmac" 'tokenauth="true"'
	kafka_tool topics --bootstrap-server "$plain" --command-config "$COMPAT_TMP/token.properties" --list | grep -x secured > /dev/null || fail "login by a token"
	kafka_tool delegation-tokens --bootstrap-server "$plain" --command-config "$admin" --expire --expiry-time-period -1 --hmac "$hmac"
	kafka_tool acls --bootstrap-server "$plain" --command-config "$admin" --remove --force --topic secured
	kafka_tool acls --bootstrap-server "$plain" --command-config "$admin" --list --topic secured | grep -q alice && fail "the ACL is still there"
	no_secrets "$hmac"
}

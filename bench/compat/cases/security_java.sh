# The Java client over SASL_PLAINTEXT, SASL_SSL and mutual TLS: every mechanism,
# certificates, and what is to be refused.
. "$COMPAT_HERE/security.sh"
setup() { kafka_setup; need javac openjdk-17-jdk-headless; secure_settings; }
run_case() {
	java -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$COMPAT_WORK/kafka/tools.properties" \
		-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="file://$TLS_DIR/good.jwt,file://$TLS_DIR/expired.jwt" \
		-cp "$COMPAT_WORK/kafka/libs/*" "$COMPAT_HERE/java/Security.java" "$PORT" "$SASL_SSL_PORT" "$MTLS_PORT" "$TLS_DIR"
	whole_matrix
}

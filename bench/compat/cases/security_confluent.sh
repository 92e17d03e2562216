# confluent-kafka (librdkafka) over SASL_PLAINTEXT, SASL_SSL and mutual TLS:
# PLAIN and SCRAM, wrong passwords, users without ACLs.
. "$COMPAT_HERE/security.sh"
setup() { python=$(python_env confluent confluent-kafka); secure_settings; }
run_case() { "$python" "$COMPAT_HERE/python/security.py" confluent "$PORT" "$SASL_SSL_PORT" "$MTLS_PORT" "$TLS_DIR"; whole_matrix; }

# kafka-python over SASL_PLAINTEXT, SASL_SSL and mutual TLS: PLAIN and SCRAM,
# wrong passwords, users without ACLs.
. "$COMPAT_HERE/security.sh"
setup() { python=$(python_env kafka-python kafka-python crc32c lz4 python-snappy zstandard); secure_settings; }
run_case() { "$python" "$COMPAT_HERE/python/security.py" kafka-python "$PORT" "$SASL_SSL_PORT" "$MTLS_PORT" "$TLS_DIR"; no_secrets; }

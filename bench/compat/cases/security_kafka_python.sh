# kafka-python over SASL_PLAINTEXT, SASL_SSL and mutual TLS: every
# mechanism, certificates, and what is to be refused.
. "$COMPAT_HERE/security.sh"
setup() { python=$(python_env kafka-python kafka-python crc32c lz4 python-snappy zstandard); secure_settings; }
run_case() { "$python" "$COMPAT_HERE/python/security.py" kafka-python "$PORT" "$SASL_SSL_PORT" "$MTLS_PORT" "$TLS_DIR"; whole_matrix; }

# confluent-kafka (librdkafka), newest: idempotent, every codec, keys, headers.
setup() { python=$(python_env confluent confluent-kafka); }
run_case() { "$python" "$COMPAT_HERE/python/roundtrip.py" confluent "$BOOTSTRAP"; }

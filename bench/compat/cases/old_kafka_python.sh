# kafka-python 1.4.7 and 2.0.2 as clients of Kafka 0.9 to 2.0.
setup() {
	first=$(python_env kafka-python-1.4.7 kafka-python==1.4.7 lz4 xxhash python-snappy)
	last=$(python_env kafka-python-2.0.2 kafka-python==2.0.2 lz4 xxhash python-snappy)
}
run_case() {
	"$first" "$COMPAT_HERE/python/old.py" "$BOOTSTRAP" 0.9 0.10 0.10.1 0.11 1.0.0
	"$last" "$COMPAT_HERE/python/old.py" "$BOOTSTRAP" 0.9 0.10 0.10.1 0.11 1.1.0 2.0.0
}

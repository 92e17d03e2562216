# Group consumers of kafka-python and confluent-kafka (classic eager, cooperative,
# KIP-848), each alone and joining and leaving under load: every record at least
# once, and the committed offsets are the end of the log.
setup() {
	settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4)
	python=$(python_env group kafka-python confluent-kafka crc32c lz4 python-snappy zstandard); need kcat kcat
}
run_case() {
	local client
	for client in kafka-python confluent confluent-cooperative confluent-848; do
		group_under_load "$client" "$python" "$COMPAT_HERE/python/group.py" "$client"
	done
}

# Apache Kafka's own command-line tools (the Java client).
setup() { kafka_setup; }
run_case() {
	local codec
	kafka_tool broker-api-versions --bootstrap-server "$BOOTSTRAP" > "$COMPAT_TMP/versions"
	grep -q 'Produce(0): 0 to 1[0-9] \[usable: 1[0-9]\]' "$COMPAT_TMP/versions" || { cat "$COMPAT_TMP/versions"; fail "ApiVersions"; }
	kafka_tool topics --bootstrap-server "$BOOTSTRAP" --create --topic tools --partitions 3 --replication-factor 1
	kafka_tool topics --bootstrap-server "$BOOTSTRAP" --describe --topic tools | tee "$COMPAT_TMP/describe"
	grep -q 'PartitionCount: 3' "$COMPAT_TMP/describe" || fail "describe"
	seq -f 'line %g' 1 2000 > "$COMPAT_TMP/in"
	for codec in none gzip snappy lz4 zstd; do
		kafka_tool topics --bootstrap-server "$BOOTSTRAP" --create --topic "tools-$codec" --partitions 1 --replication-factor 1
		kafka_tool console-producer --bootstrap-server "$BOOTSTRAP" --topic "tools-$codec" --compression-codec $codec < "$COMPAT_TMP/in"
		kafka_tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic "tools-$codec" --partition 0 --offset earliest --max-messages 2000 --timeout-ms 20000 > "$COMPAT_TMP/out"
		same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
	done
	kafka_tool producer-perf-test --bootstrap-server "$BOOTSTRAP" --topic tools --num-records 50000 --record-size 256 --throughput -1 --command-property acks=all
	[ "$(kafka_tool get-offsets --bootstrap-server "$BOOTSTRAP" --topic tools | awk -F: '{n += $3} END {print n}')" = 50000 ] || fail "get-offsets"
	kafka_tool configs --bootstrap-server "$BOOTSTRAP" --alter --entity-type broker-loggers --entity-name 1 --add-config root=DEBUG
	kafka_tool configs --bootstrap-server "$BOOTSTRAP" --describe --entity-type broker-loggers --entity-name 1 | grep -q 'root=DEBUG' || fail "the logger's level"
	kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --describe --group nobody 2>&1 | grep -q 'no group nobody' || fail "a group that is not there"
	kafka_tool topics --bootstrap-server "$BOOTSTRAP" --delete --topic tools
	kafka_tool topics --bootstrap-server "$BOOTSTRAP" --list | grep -x tools > /dev/null && fail "the topic is still there"
	return 0
}

# Client metrics (KIP-714): the Java client and librdkafka push theirs as Apache
# Kafka's own tool subscribed them, and they show on /metrics.
setup() { kafka_setup; python=$(python_env confluent confluent-kafka); }

# pushed CLIENT METRIC waits until a metric of a client is exposed.
pushed() {
	local i
	for i in $(seq 600); do
		curl -sf "http://$ADMIN/metrics" > "$COMPAT_TMP/metrics"
		grep -q "client_metric{client=\"$1\",instance=\"[^\"]*\",labels=\"[^\"]*\",metric=\"$2" "$COMPAT_TMP/metrics" && return 0
		sleep 0.2
	done
	grep client_metric "$COMPAT_TMP/metrics" || true
	fail "$1 pushed no $2"
}

run_case() {
	local i
	kafka_tool client-metrics --bootstrap-server "$BOOTSTRAP" --alter --name all --metrics org.apache.kafka. --interval 1000 --match 'client_id=pusher.*'
	kafka_tool client-metrics --bootstrap-server "$BOOTSTRAP" --describe --name all | tee "$COMPAT_TMP/described"
	grep -q 'interval.ms=1000' "$COMPAT_TMP/described" || fail "the subscription is not described"
	! kafka_tool client-metrics --bootstrap-server "$BOOTSTRAP" --alter --name bad --interval 5 > "$COMPAT_TMP/bad" 2>&1 || fail "an interval of 5 ms was taken"
	grep -q 'between 100 and 3600000' "$COMPAT_TMP/bad" || { cat "$COMPAT_TMP/bad"; fail "the refusal does not say why"; }

	{ seq 100; for i in $(seq 600); do [ ! -e "$COMPAT_TMP/pushed" ] || break; sleep 0.2; done; } | kafka_tool console-producer --bootstrap-server "$BOOTSTRAP" --topic pushed --command-property client.id=pusher-java & local producer=$!
	kafka_tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic pushed --from-beginning --command-property client.id=pusher-reader --timeout-ms 15000 > /dev/null & local reader=$!
	pushed pusher-java org.apache.kafka.producer.
	pushed pusher-reader org.apache.kafka.consumer.
	touch "$COMPAT_TMP/pushed"
	wait $producer || fail "the producer ended with an error"
	wait $reader || true # it ends by its timeout

	"$python" "$COMPAT_HERE/python/telemetry.py" "$BOOTSTRAP" pusher-librdkafka 15 & producer=$!
	pushed pusher-librdkafka org.apache.kafka.producer.
	wait $producer || fail "confluent-kafka ended with an error"

	kafka_tool client-metrics --bootstrap-server "$BOOTSTRAP" --delete --name all
	kafka_tool client-metrics --bootstrap-server "$BOOTSTRAP" --list | grep -x all > /dev/null && fail "the subscription is still there"
	return 0
}

# Apache Kafka's group tools and console consumer.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need kcat kcat; }
run_case() {
	local protocol
	kafka_tool topics --bootstrap-server "$BOOTSTRAP" --create --topic g --partitions 4 --replication-factor 1
	seq 1000 | kcat -b "$BOOTSTRAP" -t g -P -p -1
	for protocol in classic consumer; do
		kafka_tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic g --group "g-$protocol" --from-beginning --max-messages 1000 --timeout-ms 20000 --command-property group.protocol=$protocol | sort -n > "$COMPAT_TMP/out"
		seq 1000 > "$COMPAT_TMP/in"; same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --list | grep -x "g-$protocol" > /dev/null || fail "list"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --describe --group "g-$protocol" | tee "$COMPAT_TMP/describe"
		[ "$(awk '$2 == "g" {lag += $6; n += $4} END {print n, lag}' "$COMPAT_TMP/describe")" = "1000 0" ] || fail "describe does not show lag 0 at 1000"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --describe --state --group "g-$protocol" | grep -i Empty > /dev/null || fail "state"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --describe --members --group "g-$protocol"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --group "g-$protocol" --topic g --reset-offsets --to-earliest --execute
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --describe --group "g-$protocol" | tee "$COMPAT_TMP/describe"
		[ "$(awk '$2 == "g" {lag += $6} END {print lag}' "$COMPAT_TMP/describe")" = 1000 ] || fail "the reset did not take"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --group "g-$protocol" --topic g:0 --delete-offsets | grep -i successful > /dev/null || fail "delete-offsets"
		kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" --group "g-$protocol" --delete | grep -i successful > /dev/null || fail "delete"
	done
}

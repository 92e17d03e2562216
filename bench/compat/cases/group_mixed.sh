# One group of six clients (kafka-python, confluent-kafka, kafkajs, sarama, kafka-go,
# franz-go, all with the range assignor) under load: members join, leave and die, the
# broker restarts, once cleanly and once after kill -9. Every record is read, and what
# was committed is exact after another kill -9.
setup() {
	settings+=(group.initial.rebalance.delay.ms=0 num.partitions=12); need kcat kcat
	python=$(group_python); js=$(js_setup); member=$(go_member)
}
member_of() { # CLIENT SECONDS [OUT]
	local out=$COMPAT_TMP/read.${3:-$1}
	case $1 in
	kafka-python | confluent) exec "$python" "$COMPAT_HERE/python/group.py" "$1" "$BOOTSTRAP" mixed mixed "$out" "$2" ;;
	kafkajs) exec node "$js/group.mjs" "$BOOTSTRAP" mixed mixed "$out" "$2" ;;
	*) exec "$member" "$1" "$BOOTSTRAP" mixed mixed "$out" "$2" ;;
	esac
}
committed() { "$COMPAT_ROOT/bin/chronik" group describe -b "$BOOTSTRAP" mixed | awk '$1 == "mixed" {print $2, $3, $4, $5}'; }
run_case() {
	local client dies i n=0; local -A pid
	kcat -b "$BOOTSTRAP" -L -t mixed > /dev/null # makes the topic
	for client in kafka-python confluent kafkajs sarama kafka-go franz; do
		member_of $client 500 & pid[$client]=$!
	done
	(for i in $(seq 100); do seq $((i * 200 - 199)) $((i * 200)); sleep 0.2; done) |
		kcat -E -b "$BOOTSTRAP" -t mixed -P -p -1 -X enable.idempotence=true -X acks=all & local producer=$!
	sleep 4; restart_broker TERM
	sleep 2; member_of franz 500 dies & dies=$!
	member_of sarama 6 joins & pid[joins]=$!
	sleep 4; restart_broker KILL
	sleep 3; kill -9 $dies; wait $dies || true
	kill "${pid[kafka-python]}"; wait "${pid[kafka-python]}" || fail "kafka-python ended with an error"
	unset 'pid[kafka-python]'
	wait $producer || fail "the producer ended with an error"
	for i in $(seq 900); do n=$(cat "$COMPAT_TMP"/read.* | cut -d' ' -f3 | sort -u | wc -l); [ "$n" -ge 20000 ] && break; sleep 0.2; done
	sleep 1
	kill "${pid[@]}" 2> /dev/null || true
	for client in "${!pid[@]}"; do wait "${pid[$client]}" || fail "$client ended with an error"; done
	[ "$n" = 20000 ] || fail "$n of 20000 records were read"
	committed > "$COMPAT_TMP/before"; cat "$COMPAT_TMP/before"
	[ "$(awk '{n += $2; lag += $4} END {print NR, n, lag}' "$COMPAT_TMP/before")" = "12 20000 0" ] || fail "what is committed is not the end of the log"
	restart_broker KILL
	committed > "$COMPAT_TMP/after"; same "$COMPAT_TMP/before" "$COMPAT_TMP/after"
	member_of confluent 6 rest
	wc -l "$COMPAT_TMP"/read.*
}

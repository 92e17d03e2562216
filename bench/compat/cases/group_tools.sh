# Apache Kafka's group tools, verifiable and console consumer, by both protocols.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need kcat kcat; }
groups() { kafka_tool consumer-groups --bootstrap-server "$BOOTSTRAP" "$@" | tee "$COMPAT_TMP/groups.$protocol"; }
verifiable() { exec "$COMPAT_ROOT/bench/peers/kafka/kafka" tool "$COMPAT_WORK/kafka" verifiable-consumer --bootstrap-server "$BOOTSTRAP" --topic g --group-id "$1" --group-protocol "$2" --reset-policy earliest; }
by_protocol() { # PROTOCOL
	local protocol=$1 group=g-$1 pid i events=$COMPAT_TMP/events.$1
	set -m; verifiable "$group" "$protocol" > "$events" & pid=$!; set +m
	for i in $(seq 900); do [ "$(grep -o '"name":"records_consumed","count":[0-9]*\|"count":[0-9]*,.*"name":"records_consumed"' "$events" | grep -o '"count":[0-9]*' | awk -F: '{n += $2} END {print n + 0}')" -ge 1000 ] && break; sleep 0.2; done
	groups --describe --members --verbose --group "$group"
	grep -E '[[:space:]]4[[:space:]]' "$COMPAT_TMP/groups.$protocol" > /dev/null || fail "the member is not shown with its 4 partitions"
	groups --describe --state --group "$group"
	grep -E 'Stable +1' "$COMPAT_TMP/groups.$protocol" > /dev/null || fail "the group is not shown as stable with one member"
	kill -- -$pid; wait $pid || true
	for i in $(seq 600); do grep -q '"name":"shutdown_complete"' "$events" && break; sleep 0.1; done
	grep -q '"name":"shutdown_complete"' "$events" || fail "verifiable-consumer did not end by itself"
	! grep '"success":false' "$events" || fail "a commit failed"

	groups --list
	grep -x "$group" "$COMPAT_TMP/groups.$protocol" > /dev/null || fail "list"
	groups --describe --group "$group"
	[ "$(awk '$2 == "g" {lag += $6; n += $4} END {print n, lag}' "$COMPAT_TMP/groups.$protocol")" = "1000 0" ] || fail "describe does not show lag 0 at 1000"
	groups --group "$group" --topic g --reset-offsets --to-earliest --execute
	groups --describe --group "$group"
	[ "$(awk '$2 == "g" {lag += $6} END {print lag}' "$COMPAT_TMP/groups.$protocol")" = 1000 ] || fail "the reset did not take"
	kafka_tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic g --group "$group" --max-messages 1000 --timeout-ms 30000 --command-property group.protocol="$protocol" | sort -n > "$COMPAT_TMP/out.$protocol"
	seq 1000 > "$COMPAT_TMP/in.$protocol"; same "$COMPAT_TMP/in.$protocol" "$COMPAT_TMP/out.$protocol"
	groups --group "$group" --topic g:0 --delete-offsets
	grep -i successful "$COMPAT_TMP/groups.$protocol" > /dev/null || fail "delete-offsets"
	groups --group "$group" --delete
	grep -i successful "$COMPAT_TMP/groups.$protocol" > /dev/null || fail "delete"
}
run_case() {
	local classic consumer
	"$COMPAT_ROOT/bin/chronik" topic create -b "$BOOTSTRAP" g --partitions 4
	seq 1000 | kcat -b "$BOOTSTRAP" -t g -P -p -1
	by_protocol classic & classic=$!
	by_protocol consumer & consumer=$!
	wait $classic || fail "the classic protocol"
	wait $consumer || fail "the consumer protocol"
}

# Apache Kafka's dump tool reads the coordinators' topics.
setup() { settings+=(group.initial.rebalance.delay.ms=0 offsets.topic.num.partitions=1 transaction.state.log.num.partitions=1); kafka_setup; }
run_case() {
	"$COMPAT_ROOT/bin/chronik" bench verify-txn -b "$BOOTSTRAP" --duration 2s
	stop_broker
	decoded --offsets-decoder __consumer_offsets 'key: .*"group".*"topic".*payload: .*"offset"'
	decoded --offsets-decoder __consumer_offsets 'key: .*"group".*payload: .*"protocolType":"consumer"'
	decoded --transaction-log-decoder __transaction_state 'key: .*"transactionalId".*payload: .*"transactionStatus":4'
	start_broker
}
# decoded OPTION TOPIC PATTERN: the dump has a line like that, and no damage.
decoded() {
	kafka_tool dump-log --deep-iteration "$1" --files "$BROKER_DATA/logs/$2-0/00000000000000000000.log" > "$COMPAT_TMP/dump" || fail "$2 cannot be dumped"
	grep -E "$3" "$COMPAT_TMP/dump" > /dev/null || fail "$2 has no $3"
	! grep 'isvalid: false' "$COMPAT_TMP/dump" || fail "$2 has damage"
}

# Apache Kafka's dump tool finds nothing wrong in rolled and compacted segments,
# their indexes and producer snapshots.
setup() {
	settings+=(log.segment.bytes=1048576 log.cleaner.backoff.ms=200 log.cleaner.min.cleanable.ratio=0.01 log.index.interval.bytes=1024
		group.initial.rebalance.delay.ms=0 offsets.topic.num.partitions=1 transaction.state.log.num.partitions=1)
	kafka_setup
}
run_case() {
	local codec segments
	for codec in none zstd; do
		kafka_tool topics --bootstrap-server "$BOOTSTRAP" --create --topic "compact-$codec" --partitions 1 --replication-factor 1 --config cleanup.policy=compact
		awk 'BEGIN {srand(7); for (i = 1; i <= 40000; i++) {printf "key-%d:%d-", i * 7919 % 3000, i; for (j = 0; j < 8; j++) printf "%08x", rand() * 4294967295; print ""}}' > "$COMPAT_TMP/in"
		kafka_tool console-producer --bootstrap-server "$BOOTSTRAP" --topic "compact-$codec" --compression-codec $codec --reader-property parse.key=true --reader-property key.separator=: < "$COMPAT_TMP/in"
	done
	"$COMPAT_ROOT/bin/chronik" bench verify-txn -b "$BOOTSTRAP" --duration 2s
	cp "$COMPAT_TMP/broker.log" "$COMPAT_TMP/before"
	restart_broker # a clean stop is a checkpoint, below which is compacted
	for codec in none zstd; do
		for _ in $(seq 1200); do grep -qs "log compacted.*/compact-$codec-0" "$COMPAT_TMP/before" "$COMPAT_TMP/broker.log" && break; sleep 0.1; done
		grep -h "log compacted.*/compact-$codec-0" "$COMPAT_TMP/before" "$COMPAT_TMP/broker.log" || fail "compact-$codec was not compacted within two minutes"
		kafka_tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic "compact-$codec" --partition 0 --offset earliest --timeout-ms 15000 --formatter-property print.key=true --formatter-property key.separator=: > "$COMPAT_TMP/out" || true
		# The last value of each key, in the order of their offsets.
		awk -F: '{last[$1] = $0} END {for (k in last) print last[k]}' "$COMPAT_TMP/out" | sort > "$COMPAT_TMP/have"
		awk -F: '{last[$1] = $0} END {for (k in last) print last[k]}' "$COMPAT_TMP/in" | sort > "$COMPAT_TMP/want"
		same "$COMPAT_TMP/want" "$COMPAT_TMP/have"
		[ "$(wc -l < "$COMPAT_TMP/out")" -lt 40000 ] || fail "compact-$codec has every record still"
	done
	stop_broker
	for segments in compact-none-0 compact-zstd-0 $(cd "$BROKER_DATA/logs" && ls -d verify*-0-out-0); do whole "$segments"; done
	start_broker
}
# files DIRECTORY SUFFIX lists them with commas between.
files() { find "$BROKER_DATA/logs/$1" -name "*.$2" | sort | paste -sd,; }
# clean: the tool found nothing in what it just wrote to dump. It takes a batch's
# newest timestamp from its records and knows none of a batch that lost them all
# and stays for its producer's sequence: that is no fault of the index.
clean() {
	sed -i '/^Found timestamp mismatch in /d; /Index timestamp: .*, log timestamp: -1$/d' "$COMPAT_TMP/dump"
	! grep -iE 'exception|corrupt|mismatch|log timestamp|isvalid: false|out of order|not found|unexpected|invalid bytes' "$COMPAT_TMP/dump" || fail "$1: the tool found something"
}
# whole DIRECTORY has every file of a partition read.
whole() {
	local logs; logs=$(files "$1" log)
	kafka_tool dump-log --deep-iteration --files "$logs" > "$COMPAT_TMP/dump" 2>&1 || fail "$1 cannot be dumped"
	clean "$1"; grep -q 'isvalid: true' "$COMPAT_TMP/dump" || fail "$1: no batch was read"
	kafka_tool dump-log --index-sanity-check --files "$(files "$1" index),$(files "$1" timeindex)" > "$COMPAT_TMP/dump" 2>&1 || fail "$1: index check"
	clean "$1"; grep -q 'passed sanity check' "$COMPAT_TMP/dump" || fail "$1: no index was checked"
	kafka_tool dump-log --verify-index-only --files "$(files "$1" index),$(files "$1" timeindex)" > "$COMPAT_TMP/dump" 2>&1 || fail "$1: indexes against segments"
	clean "$1"
	if [ -n "$(files "$1" snapshot)" ]; then
		kafka_tool dump-log --files "$(files "$1" snapshot)" > "$COMPAT_TMP/dump" 2>&1 || fail "$1: producer snapshots"
		clean "$1"; grep -qE 'producerId|LastOffset|end' "$COMPAT_TMP/dump" || fail "$1: no producer in the snapshots"
	fi
	if [ -n "$(files "$1" txnindex)" ]; then
		kafka_tool dump-log --files "$(files "$1" txnindex)" > "$COMPAT_TMP/dump" 2>&1 || fail "$1: transaction index"
		clean "$1"
	fi
	echo "$1: $(tr , '\n' <<< "$logs" | wc -l) segments are whole"
}

# Group consumers of kafka-python and confluent-kafka (classic eager, cooperative,
# KIP-848), each alone and joining and leaving under load: every record at least
# once, and the committed offsets are the end of the log.
setup() {
	settings+=(group.initial.rebalance.delay.ms=0)
	python=$(python_env group kafka-python confluent-kafka crc32c lz4 python-snappy zstandard); need kcat kcat
}
members() { # CLIENT GROUP TOPIC: two members, a third joins and leaves
	local client=$1 group=$2 topic=$3 m=("$python" "$COMPAT_HERE/python/group.py")
	"${m[@]}" "$client" "$BOOTSTRAP" "$group" "$topic" "$COMPAT_TMP/$group.1" 60 & local a=$!
	"${m[@]}" "$client" "$BOOTSTRAP" "$group" "$topic" "$COMPAT_TMP/$group.2" 60 & local b=$!
	local i; for i in $(seq 5); do seq $((i * 1000 - 999)) $((i * 1000)) | kcat -b "$BOOTSTRAP" -t "$topic" -P -p -1; sleep 0.3; done
	"${m[@]}" "$client" "$BOOTSTRAP" "$group" "$topic" "$COMPAT_TMP/$group.3" 4
	for i in $(seq 6 10); do seq $((i * 1000 - 999)) $((i * 1000)) | kcat -b "$BOOTSTRAP" -t "$topic" -P -p -1; done
	for i in $(seq 150); do [ "$(cat "$COMPAT_TMP/$group".? 2>/dev/null | cut -d' ' -f3 | sort -u | wc -l)" -ge 10000 ] && break; sleep 0.2; done
	kill $a $b; wait $a || fail "$client: the first member ended with an error"; wait $b || fail "$client: the second member ended with an error"
	[ "$(cat "$COMPAT_TMP/$group".? | cut -d' ' -f3 | sort -u | wc -l)" = 10000 ] || fail "$client: records are missing"
	# What a new member of the same group reads is what was never committed.
	"${m[@]}" "$client" "$BOOTSTRAP" "$group" "$topic" "$COMPAT_TMP/$group.rest" 4
	[ ! -s "$COMPAT_TMP/$group.rest" ] || fail "$client: $(wc -l < "$COMPAT_TMP/$group.rest") records were read again though they were committed"
	echo "$client ok: $(cat "$COMPAT_TMP/$group".? | wc -l) reads of 10000 records"
}
run_case() {
	local client
	for client in kafka-python confluent confluent-cooperative confluent-848; do
		kcat -b "$BOOTSTRAP" -L -t "group-$client" > /dev/null
		members $client "g-$client" "group-$client"
	done
}

# Topics that grow under running groups: a partition added to a topic, and a new
# topic that the pattern matches, reach Java's console consumer, kafka-python and
# confluent-kafka by both protocols, without a restart and without a second read.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need kcat kcat; python=$(group_python); }
console() { exec "$COMPAT_ROOT/bench/peers/kafka/kafka" tool "$COMPAT_WORK/kafka" console-consumer --bootstrap-server "$BOOTSTRAP" --include 'grow-.*' --group "java-$1" --from-beginning --command-property group.protocol="$1" --command-property metadata.max.age.ms=1000; }
values() { if [[ $1 = java-* ]]; then cat "$COMPAT_TMP/$1"; else cut -d' ' -f3 "$COMPAT_TMP/$1"; fi; }
# reached N: every group has the values 1 to N, within 60 s, each once.
reached() {
	local name i
	for name in "${names[@]}"; do
		for i in $(seq 300); do [ "$(values "$name" | sort -u | wc -l)" -ge "$1" ] && break; sleep 0.2; done
		values "$name" | sort -n > "$COMPAT_TMP/values"
		seq "$1" | cmp - "$COMPAT_TMP/values" || { cat "$COMPAT_TMP/values"; fail "$name has not read 1 to $1, each once"; }
	done
}
give() { seq "$3" "$4" | kcat -b "$BOOTSTRAP" -t "$1" -P -p "$2"; }
run_case() {
	local pids=() names=(java-classic java-consumer kafka-python confluent confluent-848) name
	"$COMPAT_ROOT/bin/chronik" topic create -b "$BOOTSTRAP" grow-a --partitions 1
	give grow-a 0 1 10
	set -m
	for name in "${names[@]}"; do
		: > "$COMPAT_TMP/$name"
		case $name in
		java-*) console "${name#java-}" > "$COMPAT_TMP/$name" & ;;
		*) "$python" "$COMPAT_HERE/python/group.py" "$name" "$BOOTSTRAP" "$name" '^grow-.*' "$COMPAT_TMP/$name" & ;;
		esac
		pids+=($!)
	done
	set +m
	reached 10
	"$COMPAT_ROOT/bin/chronik" topic alter -b "$BOOTSTRAP" grow-a --partitions 3
	give grow-a 1 11 20; give grow-a 2 21 30
	reached 30
	"$COMPAT_ROOT/bin/chronik" topic create -b "$BOOTSTRAP" other --partitions 1
	"$COMPAT_ROOT/bin/chronik" topic create -b "$BOOTSTRAP" grow-b --partitions 2
	give other 0 31 40; give grow-b 1 31 40; give grow-b 0 41 50
	reached 50
	for name in "${pids[@]}"; do kill -- "-$name"; done
	for name in "${pids[@]}"; do wait "$name" || true; done
}

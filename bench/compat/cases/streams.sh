# A Kafka Streams application with exactly_once_v2, killed and restarted while
# words come: every word is counted exactly once.
setup() { settings+=(group.initial.rebalance.delay.ms=0 num.partitions=2); kafka_setup; need kcat kcat; need javac openjdk-17-jdk-headless; }
app() { exec java -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$COMPAT_WORK/kafka/tools.properties" -cp "$COMPAT_WORK/kafka/libs/*" "$COMPAT_HERE/java/WordCount.java" "$BOOTSTRAP" wordcount words counts "$COMPAT_TMP/state"; }
run_case() {
	local i n pid
	for t in words counts; do kafka_tool topics --bootstrap-server "$BOOTSTRAP" --create --topic $t --partitions 2 --replication-factor 1; done
	app & pid=$!
	for i in $(seq 1 6); do
		for n in $(seq 200); do echo "alpha beta gamma word$n"; done | kcat -b "$BOOTSTRAP" -t words -P -p -1
		sleep 2
		if [ "$i" = 2 ] || [ "$i" = 4 ]; then kill -9 $pid; wait $pid || true; app & pid=$!; fi
	done
	for i in $(seq 240); do
		# The last count of each word is the count.
		kcat -b "$BOOTSTRAP" -t counts -C -o beginning -e -q -X isolation.level=read_committed -f '%k %s\n' | awk '{c[$1] = $2} END {for (w in c) print w, c[w]}' | sort > "$COMPAT_TMP/counts"
		[ "$(awk '$1 == "alpha" || $1 == "beta" || $1 == "gamma" {n += $2} $1 ~ /^word/ {m += $2} END {print n, m}' "$COMPAT_TMP/counts")" = "3600 1200" ] && break
		sleep 1
	done
	kill $pid; wait $pid || true
	grep -E 'alpha|beta|gamma' "$COMPAT_TMP/counts"
	[ "$(awk '$1 == "alpha" || $1 == "beta" || $1 == "gamma" {n += $2} $1 ~ /^word/ {m += $2} END {print n, m}' "$COMPAT_TMP/counts")" = "3600 1200" ] || fail "the counts are not 1200 each"
}

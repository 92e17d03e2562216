# Two distributed Kafka Connect workers that keep configuration, offsets and
# status in the broker: a file goes through a topic into another file; one worker
# is killed in the middle.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need curl curl; }
worker() { # N PORT
	cat > "$COMPAT_TMP/worker$1.properties" <<P
bootstrap.servers=$BOOTSTRAP
group.id=connect
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=3
status.storage.partitions=2
offset.flush.interval.ms=500
session.timeout.ms=6000
heartbeat.interval.ms=1000
scheduled.rebalance.max.delay.ms=1000
listeners=http://127.0.0.1:$2
plugin.discovery=service_load
P
	KAFKA_HEAP=384m exec "$COMPAT_ROOT/bench/peers/kafka/kafka" tool "$COMPAT_WORK/kafka" connect-distributed "$COMPAT_TMP/worker$1.properties"
}
put() { curl -sf -X PUT -H 'Content-Type: application/json' "http://127.0.0.1:$1/connectors/$2/config" -d "$3"; }
run_case() {
	local p1 p2 a b i
	p1=$(free_port); p2=$(free_port)
	set -m
	worker 1 "$p1" > "$COMPAT_TMP/w1.log" 2>&1 & a=$!
	worker 2 "$p2" > "$COMPAT_TMP/w2.log" 2>&1 & b=$!
	set +m
	seq 1 300 > "$COMPAT_TMP/in"
	for i in $(seq 240); do
		put "$p1" source '{"connector.class":"FileStreamSource","tasks.max":"1","topic":"lines","file":"'"$COMPAT_TMP"'/in"}' > /dev/null && break
		sleep 1
	done
	put "$p1" sink '{"connector.class":"FileStreamSink","tasks.max":"1","topics":"lines","file":"'"$COMPAT_TMP"'/out"}' > /dev/null || { tail -20 "$COMPAT_TMP/w1.log"; fail "the sink could not be made"; }
	for i in $(seq 180); do [ "$(sort -u "$COMPAT_TMP/out" 2> /dev/null | wc -l)" = 300 ] && break; sleep 1; done
	kill -9 -- -$a; wait $a || true
	seq 301 500 >> "$COMPAT_TMP/in"
	for i in $(seq 180); do [ "$(sort -u "$COMPAT_TMP/out" 2> /dev/null | wc -l)" = 500 ] && break; sleep 1; done
	kill -- -$b; wait $b || true
	[ "$(sort -u "$COMPAT_TMP/out" | wc -l)" = 500 ] || { tail -20 "$COMPAT_TMP/w2.log"; fail "$(sort -u "$COMPAT_TMP/out" | wc -l) of 500 lines came through"; }
}

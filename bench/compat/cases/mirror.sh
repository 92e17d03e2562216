# MirrorMaker 2 from one broker to another: topics with their configuration, records
# with keys, headers and timestamps, and a group's offsets; killed and restarted while
# records come.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need kcat kcat; }
mirror() { KAFKA_HEAP=384m exec "$COMPAT_ROOT/bench/peers/kafka/kafka" tool "$COMPAT_WORK/kafka" mirror-maker "$COMPAT_TMP/mm2.properties"; }
records() { kcat -b "$1" -t "$2" -C -o beginning -e -q -f '%p %o %k %h %T %s\n' | sort -n -k1,1 -k2,2; }
feed() { seq "$1" "$2" | sed 's/.*/k&:v&/' | kcat -b "$SOURCE" -t orders -P -K : -H from=source -z "$3"; }
group() { "$COMPAT_ROOT/bin/chronik" group describe -b "$1" readers | awk -v t="$2" '$1 == t {n++; committed += $3; lag += $5} END {print n + 0, committed + 0, lag + 0}'; }
# mirrored N waits until the mirror has N records.
mirrored() {
	local i
	for i in $(seq 300); do [ "$(records "$BOOTSTRAP" source.orders 2> /dev/null | wc -l)" = "$1" ] && return 0; sleep 0.5; done
	tail -n 20 "$COMPAT_TMP/mm.log"; fail "$(records "$BOOTSTRAP" source.orders | wc -l) of $1 records were mirrored"
}
run_case() {
	local pid i
	SOURCE=$BOOTSTRAP SOURCE_PID=$BROKER_PID
	PORT= BROKER_DATA=$COMPAT_TMP/target start_broker
	trap 'stop_broker; BROKER_PID=$SOURCE_PID; stop_broker' EXIT
	"$COMPAT_ROOT/bin/chronik" topic create -b "$SOURCE" orders --partitions 3
	"$COMPAT_ROOT/bin/chronik" config set -b "$SOURCE" --topic orders retention.ms=123456789
	feed 1 1000 none; feed 1001 2000 lz4
	cat > "$COMPAT_TMP/mm2.properties" <<P
clusters=source,target
source.bootstrap.servers=$SOURCE
target.bootstrap.servers=$BOOTSTRAP
source->target.enabled=true
source->target.topics=orders
source->target.groups=readers
target->source.enabled=false
replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=3
offset.flush.interval.ms=500
offset.lag.max=0
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=1
emit.checkpoints.interval.seconds=1
refresh.topics.interval.seconds=1
refresh.groups.interval.seconds=1
session.timeout.ms=6000
heartbeat.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
plugin.discovery=service_load
P
	set -m; mirror > "$COMPAT_TMP/mm.log" 2>&1 & pid=$!; set +m
	mirrored 2000
	# Once it has stored how far it is, the next one goes on from there.
	for i in $(seq 200); do [ "$(kcat -b "$BOOTSTRAP" -t mm2-offsets.source.internal -C -o beginning -e -q -f '%k\n' | grep '"topic":"orders"' | sort -u | wc -l)" = 3 ] && break; sleep 0.5; done
	feed 2001 3000 zstd
	kill -9 -- -$pid; wait $pid || true
	feed 3001 4000 gzip
	set -m; mirror >> "$COMPAT_TMP/mm.log" 2>&1 & pid=$!; set +m
	for i in $(seq 300); do [ "$(records "$BOOTSTRAP" source.orders | cut -d' ' -f6 | sort -u | wc -l)" = 4000 ] && break; sleep 0.5; done
	records "$SOURCE" orders | cut -d' ' -f1,3- | sort -u > "$COMPAT_TMP/sent"
	records "$BOOTSTRAP" source.orders | cut -d' ' -f1,3- | sort -u > "$COMPAT_TMP/mirrored"
	same "$COMPAT_TMP/sent" "$COMPAT_TMP/mirrored"
	[ "$(wc -l < "$COMPAT_TMP/mirrored")" = 4000 ] || fail "4000 records are not there"
	[ "$("$COMPAT_ROOT/bin/chronik" config get -b "$BOOTSTRAP" --topic source.orders retention.ms)" = 123456789 ] || fail "the topic's configuration did not come along"
	[ "$(records "$BOOTSTRAP" source.orders | wc -l)" -le 5000 ] || fail "the second mirror began from the start"
	# A group that has read all is told the same of the mirror.
	kcat -b "$SOURCE" -G readers -X auto.offset.reset=earliest -c 4000 -q orders > /dev/null
	for i in 0 1 2; do echo "last:$i" | kcat -b "$SOURCE" -t orders -P -K : -p $i; done
	kcat -b "$SOURCE" -G readers -X auto.offset.reset=earliest -c 3 -q orders > /dev/null
	for i in $(seq 200); do [ "$(group "$BOOTSTRAP" source.orders | cut -d' ' -f1,3)" = '3 0' ] && break; sleep 0.5; done
	kill -- -$pid; wait $pid || true
	group "$SOURCE" orders; group "$BOOTSTRAP" source.orders
	[ "$(group "$BOOTSTRAP" source.orders | cut -d' ' -f1,3)" = '3 0' ] || { tail -n 20 "$COMPAT_TMP/mm.log"; fail "the group's offsets did not come along"; }
}

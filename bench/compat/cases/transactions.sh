# Apache Kafka's TransactionalMessageCopier with random aborts, two at a time, read
# back by a read_committed console consumer; kafka-transactions finds and aborts what
# a dead producer left open.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need kcat kcat; python=$(group_python); }
copier() { # PARTITION
	kafka_tool transactional-message-copier --broker-list "$BOOTSTRAP" --input-topic in --input-partition "$1" --output-topic out --max-messages 2000 --consumer-group "copier-$1" --transaction-size 100 --transactional-id "copier-$1" --enable-random-aborts > "$COMPAT_TMP/copier.$1"
}
transactions() { kafka_tool transactions --bootstrap-server "$BOOTSTRAP" "$@" | tee "$COMPAT_TMP/transactions"; }
end_of() { kcat -b "$BOOTSTRAP" -Q -t out:0:-1 | sed 's/.*offset //'; }
run_case() {
	local p copiers=() start
	"$COMPAT_ROOT/bin/chronik" topic create -b "$BOOTSTRAP" in --partitions 2
	"$COMPAT_ROOT/bin/chronik" topic create -b "$BOOTSTRAP" out --partitions 2
	for p in 0 1; do seq -f "$p %g" 2000 | kcat -b "$BOOTSTRAP" -t in -P -p $p; done
	for p in 0 1; do copier $p & copiers+=($!); done
	for p in "${copiers[@]}"; do wait "$p" || { tail -n 5 "$COMPAT_TMP"/copier.*; fail "a copier ended with an error"; }; done
	(seq -f '0 %g' 2000; seq -f '1 %g' 2000) | sort > "$COMPAT_TMP/in"
	kafka_tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic out --from-beginning --isolation-level read_committed --max-messages 4000 --timeout-ms 20000 | sort > "$COMPAT_TMP/out"
	same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
	[ "$(kcat -b "$BOOTSTRAP" -t out -C -o beginning -e -q -X isolation.level=read_uncommitted | wc -l)" -gt 4000 ] || fail "nothing was aborted"
	for p in 0 1; do
		[ "$(kcat -b "$BOOTSTRAP" -t out -C -o beginning -e -q -X isolation.level=read_committed | grep "^$p" | cut -d' ' -f2 | sort -nc 2>&1)" = '' ] || fail "the copies of partition $p are out of order"
		[ "$("$COMPAT_ROOT/bin/chronik" group describe -b "$BOOTSTRAP" "copier-$p" | awk -v p="$p" '$1 == "in" && $2 == p {print $3, $5}')" = '2000 0' ] || fail "the offsets of copier-$p are not the end"
	done

	start=$(end_of)
	"$python" - "$BOOTSTRAP" <<-P
	import os, sys
	from confluent_kafka import Producer
	p = Producer({"bootstrap.servers": sys.argv[1], "transactional.id": "dead", "linger.ms": 0})
	p.init_transactions(10); p.begin_transaction()
	p.produce("out", b"never", partition=0); assert p.flush(10) == 0
	os._exit(0)
	P
	transactions list
	grep -E '^copier-0 .*Complete(Commit|Abort)' "$COMPAT_TMP/transactions" > /dev/null || fail "list"
	grep -E '^dead .*Ongoing' "$COMPAT_TMP/transactions" > /dev/null || fail "list does not show the open transaction"
	transactions describe --transactional-id dead
	grep -E 'Ongoing.*out-0' "$COMPAT_TMP/transactions" > /dev/null || fail "describe"
	transactions describe-producers --topic out --partition 0
	awk -v at="$start" '$NF == at || $(NF-1) == at {found = 1} END {exit !found}' "$COMPAT_TMP/transactions" || fail "describe-producers does not show where the open transaction starts"
	transactions find-hanging --broker-id 1
	! grep dead "$COMPAT_TMP/transactions" || fail "a transaction within its time is called hanging"
	echo after | kcat -b "$BOOTSTRAP" -t out -P -p 0
	[ "$(kcat -b "$BOOTSTRAP" -t out -C -p 0 -o "$start" -e -q -X isolation.level=read_committed)" = '' ] || fail "something behind an open transaction was read"
	transactions abort --topic out --partition 0 --start-offset "$start"
	[ "$(kcat -b "$BOOTSTRAP" -t out -C -p 0 -o "$start" -e -q -X isolation.level=read_committed)" = after ] || fail "the transaction is still open after abort"
}

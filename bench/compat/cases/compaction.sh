# Apache Kafka's LogCompactionTester: what compaction leaves is what was last
# written for each key. It waits for a checkpoint, so that it takes a minute:
# make compaction runs it.
setup() {
	[ -n "${CHRONIK_SLOW:-}" ] || skip "takes a minute; make compaction runs it"
	settings+=(log.segment.bytes=1048576 log.cleaner.backoff.ms=200 log.cleaner.min.cleanable.ratio=0.01); kafka_setup
}
run_case() {
	kafka_tool log-compaction-tester --bootstrap-server "$BOOTSTRAP" --messages 150000 --duplicates 3 --topics 1 --percent-deletes 10 --sleep 34 | tee "$COMPAT_TMP/out"
	grep ' values, 0 mismatches' "$COMPAT_TMP/out" > /dev/null || fail "the tester found mismatches"
	! grep '(0.0% reduction)' "$COMPAT_TMP/out" || fail "nothing was compacted"
}

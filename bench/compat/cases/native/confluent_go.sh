# confluent-kafka-go with the librdkafka in its package (cgo): every codec, tombstones,
# headers, timestamps, groups of both protocols, transactions.
setup() { settings+=(group.initial.rebalance.delay.ms=0); need gcc gcc; }
run_case() { (cd "$COMPAT_HERE/confluent" && BOOTSTRAP=$BOOTSTRAP CGO_ENABLED=1 go test -count=1 .); }

# Group consumers of kafka-python and confluent-kafka (classic eager, cooperative,
# KIP-848), each alone and joining and leaving under load: every record at least
# once, and the committed offsets are the end of the log.
setup() { settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4); python=$(group_python); need kcat kcat; }
run_case() { each_under_load "$python" "$COMPAT_HERE/python/group.py" -- kafka-python confluent confluent-cooperative confluent-848; }

# Group consumers of sarama, kafka-go and franz-go (range, cooperative, KIP-848),
# joining and leaving under load.
setup() { settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4); need kcat kcat; member=$(go_member); }
run_case() { each_under_load "$member" -- franz franz-cooperative franz-848 sarama kafka-go; }

# Group consumers of sarama, kafka-go and franz-go (range, cooperative, KIP-848),
# joining and leaving under load.
setup() {
	settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4); need kcat kcat
	(cd "$COMPAT_HERE" && go build -o "$COMPAT_TMP/member" ./member)
}
run_case() {
	local client
	for client in franz franz-cooperative franz-848 sarama kafka-go; do
		group_under_load $client "$COMPAT_TMP/member" $client
	done
}

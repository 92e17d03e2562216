# Group consumers of kafkajs, joining and leaving under load.
setup() { settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4); need kcat kcat; js=$(js_setup); }
run_case() { group_under_load kafkajs node "$js/group.mjs"; }

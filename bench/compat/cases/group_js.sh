# Group consumers of kafkajs, joining and leaving under load.
setup() {
	settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4); need kcat kcat; need node nodejs; need npm npm
	js=$COMPAT_WORK/js; mkdir -p "$js"
	cp "$COMPAT_HERE"/js/* "$js/"
	[ -f "$js/.complete" ] || { (cd "$js" && npm install --silent --no-audit --no-fund) && touch "$js/.complete"; }
}
run_case() { group_under_load kafkajs node "$js/group.mjs"; }

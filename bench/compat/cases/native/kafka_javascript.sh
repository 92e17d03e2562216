# @confluentinc/kafka-javascript in TypeScript: every codec, tombstones, headers,
# timestamps, transactions; group members of both protocols, joining and leaving under
# load. Its package fetches a binary from elsewhere; here it is built from the sources
# that it ships, against the system's libraries.
setup() {
	settings+=(group.initial.rebalance.delay.ms=0 num.partitions=4); need kcat kcat
	need node nodejs; need npm npm; need g++ g++; need make make
	dpkg -s libcurl4-openssl-dev libssl-dev libsasl2-dev zlib1g-dev libzstd-dev > /dev/null 2>&1 || apt_install libcurl4-openssl-dev libssl-dev libsasl2-dev zlib1g-dev libzstd-dev
	ts=$COMPAT_WORK/ts
	once ts ts_install
}
ts_install() {
	mkdir -p "$ts"
	cp "$COMPAT_HERE"/ts/* "$ts/"
	cmp -s "$ts/package.json" "$ts/.complete" || { (cd "$ts" && CKJS_LINKING=dynamic tries npm install --silent --no-audit --no-fund) && cp "$ts/package.json" "$ts/.complete"; }
	(cd "$ts" && npm run --silent compile)
}
run_case() {
	node "$ts/roundtrip.js" "$BOOTSTRAP"
	each_under_load node "$ts/group.js" -- classic consumer
}

# kcat (librdkafka): every codec, keys, headers, partitions; back byte for byte.
setup() { need kcat kcat; }
run_case() {
	local codec
	seq 1 5000 | sed 's/.*/key-&:value number & with some text to make compression worth while/' > "$COMPAT_TMP/in"
	for codec in none gzip snappy lz4 zstd; do
		kcat -b "$BOOTSTRAP" -t "kcat-$codec" -P -K : -z $codec -H origin=kcat -X enable.idempotence=true -X acks=all "$COMPAT_TMP/in" -l
		kcat -b "$BOOTSTRAP" -t "kcat-$codec" -C -o beginning -e -q -f '%k:%s\n' > "$COMPAT_TMP/out-$codec"
		sort "$COMPAT_TMP/in" > "$COMPAT_TMP/in.sorted"; sort "$COMPAT_TMP/out-$codec" > "$COMPAT_TMP/out.sorted"
		same "$COMPAT_TMP/in.sorted" "$COMPAT_TMP/out.sorted"
		[ "$(kcat -b "$BOOTSTRAP" -t "kcat-$codec" -C -o beginning -c 1 -q -f '%h')" = origin=kcat ] || fail "the header of $codec is gone"
	done
	kcat -b "$BOOTSTRAP" -L | grep -i 'topic "kcat-zstd"' > /dev/null || fail "the topic is not listed"
	kcat -b "$BOOTSTRAP" -Q -t kcat-zstd:0:-1 | grep -i 'offset 5000' > /dev/null || fail "ListOffsets"
}

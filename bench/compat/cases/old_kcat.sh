# librdkafka as clients of Kafka 0.9 and 0.10.0: formats 0 and 1, no ApiVersions.
setup() { need kcat kcat; }
run_case() {
	local version codec topic old
	for version in 0.9.0.1 0.10.0.0; do
		old=(-X api.version.request=false -X "broker.version.fallback=$version")
		for codec in none gzip snappy lz4; do
			topic=old-$version-$codec
			seq 1 20000 > "$COMPAT_TMP/in"
			kcat "${old[@]}" -b "$BOOTSTRAP" -t "$topic" -P -z $codec -p 0 < "$COMPAT_TMP/in"
			kcat "${old[@]}" -b "$BOOTSTRAP" -t "$topic" -C -o beginning -e -q > "$COMPAT_TMP/out"
			same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
			# A client of today reads what the old one wrote, and the reverse.
			kcat -b "$BOOTSTRAP" -t "$topic" -C -o beginning -e -q > "$COMPAT_TMP/out"
			same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
			kcat -b "$BOOTSTRAP" -t "$topic-new" -P -z $codec -p 0 -H dropped=yes < "$COMPAT_TMP/in"
			kcat "${old[@]}" -b "$BOOTSTRAP" -t "$topic-new" -C -o beginning -e -q > "$COMPAT_TMP/out"
			same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
		done
		kcat "${old[@]}" -b "$BOOTSTRAP" -Q -t "old-$version-none:0:-1" | grep 'offset 20000' > /dev/null || fail "$version: ListOffsets"
		kcat "${old[@]}" -b "$BOOTSTRAP" -G "g-$version" -o beginning -c 20000 -q "old-$version-gzip" > "$COMPAT_TMP/out" || fail "$version: group"
		same "$COMPAT_TMP/in" "$COMPAT_TMP/out"
	done
}

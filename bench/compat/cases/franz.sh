# franz-go: idempotent, every codec, keys, headers, several partitions.
run_case() { (cd "$COMPAT_HERE" && BOOTSTRAP=$BOOTSTRAP go test -count=1 ./franz); }

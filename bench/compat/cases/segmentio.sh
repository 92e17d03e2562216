# kafka-go: Writer, Reader and Client, every codec.
run_case() { (cd "$COMPAT_HERE" && BOOTSTRAP=$BOOTSTRAP go test -count=1 ./segmentio); }

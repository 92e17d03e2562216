# sarama: sync, async and transactional producers, every codec, admin.
run_case() { (cd "$COMPAT_HERE" && BOOTSTRAP=$BOOTSTRAP go test -count=1 ./sarama); }

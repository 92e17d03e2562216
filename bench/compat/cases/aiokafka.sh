# aiokafka: every codec, tombstones, headers, timestamps, transactions of two members.
setup() { settings+=(group.initial.rebalance.delay.ms=0); python=$(python_env aiokafka aiokafka cramjam); }
run_case() { "$python" "$COMPAT_HERE/python/aio.py" "$BOOTSTRAP"; }

# kafka-python, newest: every codec, keys, headers; back byte for byte.
setup() { python=$(python_env kafka-python kafka-python crc32c lz4 python-snappy zstandard); }
run_case() { "$python" "$COMPAT_HERE/python/roundtrip.py" kafka-python "$BOOTSTRAP"; }

# Shared by the cases; sourced by run.

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*" >&2; exit 75; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

# start_broker starts bin/chronik with the case's settings; BOOTSTRAP, ADMIN and
# BROKER_PID tell where.
start_broker() {
	local port=${PORT:-$(free_port)} admin; admin=$(free_port)
	BROKER_DATA=${BROKER_DATA:-$COMPAT_TMP/data}
	local flags=() pair
	for pair in "${settings[@]}"; do flags+=(-c "$pair"); done
	export BOOTSTRAP=127.0.0.1:$port ADMIN=127.0.0.1:$admin PORT=$port
	"$COMPAT_ROOT/bin/chronik" serve --data-dir "$BROKER_DATA" --listeners "${listeners:-PLAINTEXT://$BOOTSTRAP}" --admin-listen "$ADMIN" "${flags[@]}" ${serve_flags:-} >> "$COMPAT_TMP/broker.log" 2>&1 &
	BROKER_PID=$!
	local i
	for i in $(seq 200); do
		kill -0 "$BROKER_PID" 2>/dev/null || { cat "$COMPAT_TMP/broker.log"; fail "the broker ended at once"; }
		grep -q ready "$COMPAT_TMP/broker.log" && curl -sf "http://$ADMIN/readyz" > /dev/null && return 0
		sleep 0.05
	done
	cat "$COMPAT_TMP/broker.log"; fail "the broker was not ready within 10 s"
}

# stop_broker [SIGNAL] stops it and checks that a TERM ends with 0.
stop_broker() {
	local code=0
	[ -n "${BROKER_PID:-}" ] || return 0
	kill -"${1:-TERM}" "$BROKER_PID" 2>/dev/null || true
	wait "$BROKER_PID" || code=$?
	BROKER_PID=
	if grep -aE 'panic|BUG: |fatal error|DATA RACE' "$COMPAT_TMP/broker.log"; then fail "the broker's log shows a panic"; fi
	[ "${1:-TERM}" != TERM ] || [ $code -eq 0 ] || fail "the broker ended with code $code"
}
restart_broker() { stop_broker "${1:-TERM}"; : > "$COMPAT_TMP/broker.log"; start_broker; }

# python_env NAME PACKAGE… gives the path of a venv's python with the packages.
python_env() {
	local dir=$COMPAT_WORK/venv-$1; shift
	if [ ! -f "$dir/.complete" ]; then
		python3 -m venv "$dir" >&2 || { apt_install python3-venv; python3 -m venv "$dir" >&2; }
		"$dir/bin/pip" install -q "$@" >&2
		touch "$dir/.complete"
	fi
	echo "$dir/bin/python"
}

apt_install() {
	command -v apt-get > /dev/null || skip "no apt-get here to install $*"
	(apt-get install -y -qq "$@" || { apt-get update -qq && apt-get install -y -qq "$@"; }) > "$COMPAT_TMP/apt.log" 2>&1 || { cat "$COMPAT_TMP/apt.log"; fail "apt-get install $* failed"; }
}
need() { command -v "$1" > /dev/null || apt_install "$2"; }

# kafka_setup lays Apache Kafka's tools out; kafka_tool runs one.
kafka_setup() { need java openjdk-17-jre-headless; need mvn maven; "$COMPAT_ROOT/bench/peers/kafka/kafka" setup "$COMPAT_WORK/kafka"; }
kafka_tool() { "$COMPAT_ROOT/bench/peers/kafka/kafka" tool "$COMPAT_WORK/kafka" "$@"; }

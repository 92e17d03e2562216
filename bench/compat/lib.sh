# Shared by the cases; sourced by run.

# free_port prints a free port below those that the kernel gives to outgoing
# connections, so that a broker that restarts finds its port again.
free_port() {
	python3 - <<-P
	import random, socket
	while True:
	    try:
	        with socket.socket() as s:
	            port = random.randrange(21000, 32000)
	            s.bind(("127.0.0.1", port))
	            print(port)
	            break
	    except OSError:
	        pass
	P
}
# tries COMMAND… runs what fetches from elsewhere up to four times, with a pause
# between that grows: a registry that does not answer once is no finding.
tries() {
	local pause
	for pause in 5 15 45; do
		"$@" && return 0
		echo "failed, once more in $pause s: $*" >&2; sleep $pause
	done
	"$@"
}
# once NAME COMMAND… runs an installation while no other case runs it.
once() { local lock=$COMPAT_WORK/$1.lock; shift; (flock 9; "$@") 9> "$lock"; }
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
	for i in $(seq 1200); do
		kill -0 "$BROKER_PID" 2>/dev/null || { cat "$COMPAT_TMP/broker.log"; fail "the broker ended at once"; }
		grep -qs ready "$COMPAT_TMP/broker.log" && curl -sf "http://$ADMIN/readyz" > /dev/null && return 0
		sleep 0.05
	done
	cat "$COMPAT_TMP/broker.log"; fail "the broker was not ready within a minute"
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
	once "$(basename "$dir")" python_install "$dir" "$@" >&2 || exit
	echo "$dir/bin/python"
}
python_install() {
	local dir=$1; shift
	[ ! -f "$dir/.complete" ] || return 0
	python3 -m venv "$dir" || { apt_install python3-venv && python3 -m venv "$dir"; } || return
	tries "$dir/bin/pip" install -q --retries 10 --timeout 60 "$@" && touch "$dir/.complete"
}

# group_python, js_setup and go_member make the group members of each language
# ready and say where they are.
group_python() { python_env group kafka-python confluent-kafka crc32c lz4 python-snappy zstandard; }
js_setup() { need node nodejs; need npm npm; once js js_install >&2 || exit; echo "$COMPAT_WORK/js"; }
js_install() {
	local js=$COMPAT_WORK/js; mkdir -p "$js"
	cp "$COMPAT_HERE"/js/* "$js/"
	cmp -s "$js/package.json" "$js/.complete" || { (cd "$js" && tries npm install --silent --no-audit --no-fund) && cp "$js/package.json" "$js/.complete"; }
}
go_member() { (cd "$COMPAT_HERE" && go build -o "$COMPAT_TMP/member" ./member) || exit; echo "$COMPAT_TMP/member"; }

apt_install() {
	command -v apt-get > /dev/null || skip "no apt-get here to install $*"
	once apt apt_get "$@" > "$COMPAT_TMP/apt.log" 2>&1 || { cat "$COMPAT_TMP/apt.log"; fail "apt-get install $* failed"; }
}
apt_get() { apt_once install -y -qq "$@" || tries apt_fresh "$@"; }
apt_fresh() { apt_once update -qq && apt_once install -y -qq "$@"; }
apt_once() {
	local as=(env); [ "$(id -u)" = 0 ] || as=(sudo -n env)
	"${as[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 "$@"
}
need() { command -v "$1" > /dev/null || apt_install "$2"; }

# kafka_setup lays Apache Kafka's tools out; kafka_tool runs one.
kafka_setup() { need java openjdk-17-jre-headless; need mvn maven; once kafka tries "$COMPAT_ROOT/bench/peers/kafka/kafka" setup "$COMPAT_WORK/kafka"; }
kafka_tool() { "$COMPAT_ROOT/bench/peers/kafka/kafka" tool "$COMPAT_WORK/kafka" "$@"; }

# each_under_load COMMAND… -- CLIENT… runs group_under_load for all clients at once;
# a client's name is the last argument of its command.
each_under_load() {
	local command=(); while [ "$1" != -- ]; do command+=("$1"); shift; done; shift
	local client; local -A pid
	for client; do group_under_load "$client" "${command[@]}" "$client" & pid[$client]=$!; done
	for client; do wait "${pid[$client]}" || fail "$client"; done
}

# group_under_load NAME COMMAND… runs members of one group while records come:
# two members, a third that joins and leaves. A member is COMMAND BOOTSTRAP GROUP
# TOPIC OUT SECONDS. Every record must be read, and what is committed must not be
# read again by the next member.
group_under_load() {
	local name=$1; shift
	local group=g-$name topic=group-$name out=$COMPAT_TMP/$name i
	kcat -b "$BOOTSTRAP" -L -t "$topic" > /dev/null # makes the topic
	"$@" "$BOOTSTRAP" "$group" "$topic" "$out.1" 400 & local a=$!
	"$@" "$BOOTSTRAP" "$group" "$topic" "$out.2" 400 & local b=$!
	for i in $(seq 5); do seq $((i * 1000 - 999)) $((i * 1000)) | kcat -b "$BOOTSTRAP" -t "$topic" -P -p -1; sleep 0.3; done
	"$@" "$BOOTSTRAP" "$group" "$topic" "$out.3" 4 || fail "$name: the third member ended with an error"
	for i in $(seq 6 10); do seq $((i * 1000 - 999)) $((i * 1000)) | kcat -b "$BOOTSTRAP" -t "$topic" -P -p -1; done
	for i in $(seq 900); do [ "$(cat "$out".? 2> /dev/null | cut -d' ' -f3 | sort -u | wc -l)" -ge 10000 ] && break; sleep 0.2; done
	kill $a $b
	wait $a || fail "$name: the first member ended with an error"
	wait $b || fail "$name: the second member ended with an error"
	[ "$(cat "$out".? | cut -d' ' -f3 | sort -u | wc -l)" = 10000 ] || fail "$name: records are missing"
	"$@" "$BOOTSTRAP" "$group" "$topic" "$out.rest" 6 || fail "$name: the last member ended with an error"
	[ ! -s "$out.rest" ] || fail "$name: $(wc -l < "$out.rest") records were read again though they were committed"
	echo "$name ok: $(cat "$out".? | wc -l) reads of 10000 records"
}

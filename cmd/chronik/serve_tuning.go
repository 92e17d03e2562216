package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/chronik-stream/chronik/broker"
)

// tuning is the flags that tune a broker, one row each. A flag stands for a
// Kafka key, a number of the table of limits or a field of the broker's
// options; where it stands for a key, -c with the key is the same.
var tuning = []struct {
	flag  string
	bytes bool // takes 64MiB
	key   string
	limit string
	set   func(o *broker.Options, n int64)
	usage string // default, unit, effect
}{
	{flag: "loops", set: func(o *broker.Options, n int64) { o.Loops = int(n) },
		usage: "event loops, each a thread that serves its share of the connections; default one per core (what Kafka calls num.network.threads)"},
	{flag: "workers", key: "num.io.threads",
		usage: "threads for requests that may wait: admin, recompression, down-conversion; default 8 (num.io.threads)"},
	{flag: "window-budget", bytes: true, set: func(o *broker.Options, n int64) { o.WindowBudget = n },
		usage: "bytes of hot segments mapped for writing at a time; default 256MiB"},
	{flag: "in-flight-bytes", bytes: true, limit: "requests_bytes_in_flight",
		usage: "bytes of requests in memory before connections are not read; default an eighth of the memory, at most 1GiB (queued.max.request.bytes)"},
	{flag: "in-flight-requests", limit: "requests_in_flight_per_connection",
		usage: "requests of one connection before it is not read; default 64"},
	{flag: "commit-queue-bytes", bytes: true, limit: "commit_queue_bytes",
		usage: "bytes that may wait for the next commit before produces wait; default 64MiB"},
	{flag: "max-connections", key: "max.connections",
		usage: "connections in all; default 55 % of the file descriptors (max.connections)"},
	{flag: "max-connections-per-ip", key: "max.connections.per.ip",
		usage: "connections of one address; default no bound (max.connections.per.ip)"},
	{flag: "socket-send-buffer", bytes: true, key: "socket.send.buffer.bytes",
		usage: "SO_SNDBUF of connections; default the kernel's own tuning (socket.send.buffer.bytes)"},
	{flag: "socket-receive-buffer", bytes: true, key: "socket.receive.buffer.bytes",
		usage: "SO_RCVBUF of connections; default the kernel's own tuning (socket.receive.buffer.bytes)"},
}

// tuningFlags holds what was given, by row.
type tuningFlags struct {
	values     []string
	gomaxprocs int
}

func (f *tuningFlags) register(p *pflag.FlagSet) {
	f.values = make([]string, len(tuning))
	for i, row := range tuning {
		p.StringVar(&f.values[i], row.flag, "", row.usage)
	}
	p.IntVar(&f.gomaxprocs, "gomaxprocs", 0, "threads that run Go code at a time; default GOMAXPROCS of the environment, then cores + 2")
}

// apply sets a broker's options. Where a row stands for a Kafka key, -c or the
// file may have given it too; the flag comes first.
func (f *tuningFlags) apply(o *broker.Options) error {
	if f.gomaxprocs < 0 {
		return fmt.Errorf("--gomaxprocs %d is negative", f.gomaxprocs)
	}
	for i, given := range f.values { // none in dev
		if given == "" {
			continue
		}
		row := tuning[i]
		n, err := strconv.ParseInt(given, 10, 64)
		if row.bytes {
			n, err = parseBytes(given)
		}
		if err != nil || n <= 0 {
			kind := "a positive number"
			if row.bytes {
				kind = "a number of bytes such as 67108864 or 64MiB"
			}
			return fmt.Errorf("--%s %q is not %s", row.flag, given, kind)
		}
		switch {
		case row.key != "":
			o.Static[row.key] = strconv.FormatInt(n, 10)
		case row.limit != "":
			if o.Limits == nil {
				o.Limits = map[string]int64{}
			}
			o.Limits[row.limit] = n
		default:
			row.set(o, n)
		}
	}
	return nil
}

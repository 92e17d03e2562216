package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/chronik-stream/chronik/broker"
	"github.com/chronik-stream/chronik/logstore"
)

// serveFlags are what serve and dev can be told.
type serveFlags struct {
	dataDirs    []string
	listeners   string
	advertised  string
	protocols   string
	pprof       bool
	admin       string
	durability  string
	acks1       string
	config      string
	set         []string
	limits      []string
	clusterID   string
	nodeID      int32
	forgetDirs  []string
	journalDir  string
	journalMax  string
	commitDelay time.Duration
	journalMode string
	writeMode   string
	weaker      bool
	drain       time.Duration
	stallWarn   time.Duration
	stallExit   time.Duration
	logLevel    string
	logFormat   string
	traceTo     string
	traceSample float64
	traceSlow   time.Duration
	security    securityFlags
	tuning      tuningFlags
}

func (f *serveFlags) register(p *pflag.FlagSet) {
	p.StringArrayVar(&f.dataDirs, "data-dir", nil, "directory of the logs; repeat for several disks (default ./chronik-data)")
	p.StringArrayVar(&f.forgetDirs, "forget-data-dir", nil, "id of a data directory that is gone for good: its partitions start anew, empty; repeat for more")
	p.StringVar(&f.listeners, "listeners", "", "Kafka's listeners: NAME://host:port, … (default PLAINTEXT://127.0.0.1:9092)")
	p.StringVar(&f.advertised, "advertised-listeners", "", "what clients are told to connect to (default: the host name in --listeners, or the address that they connected to)")
	p.StringVar(&f.protocols, "listener-protocols", "", "Kafka's listener.security.protocol.map")
	p.StringVar(&f.admin, "admin-listen", "127.0.0.1:9644", "address of metrics, health and views over HTTP; off for none")
	p.BoolVar(&f.pprof, "pprof", false, "serve Go's profiles of the process under /debug/pprof/ of the admin server")
	p.StringVar(&f.durability, "durability", "commit", "when an append counts: commit (after the disk's sync), interval or interval=TIME (written; synced within 50 ms, or TIME), os")
	p.StringVar(&f.acks1, "acks1", "durable", "when acks=1 is answered: durable, or written")
	p.BoolVar(&f.weaker, "allow-weaker-topics", false, "let a topic's flush.messages and flush.ms weaken --durability")
	p.StringArrayVarP(&f.set, "conf", "c", nil, "a Kafka broker key, key=value; repeat for more")
	p.StringVar(&f.config, "config", "", "a file of key=value lines like Kafka's server.properties")
	p.StringArrayVar(&f.limits, "limit", nil, "a number of the table of limits, name=value; repeat for more")
	p.StringVar(&f.clusterID, "cluster-id", "", "must be the data directory's; empty takes what is there, or makes one")
	p.Int32Var(&f.nodeID, "node-id", -1, "Kafka's node.id")
	p.Lookup("node-id").DefValue = "1" // what serves when neither this nor a configuration names one
	p.StringVar(&f.journalDir, "journal-dir", "", "directory of the journals (default <data-dir>/journal)")
	p.StringVar(&f.journalMax, "journal-max", "1GiB", "largest journal of one data directory")
	p.DurationVar(&f.commitDelay, "commit-delay", 0, "wait before each sync, for disks with few operations per second")
	p.StringVar(&f.journalMode, "journal-write", "auto", "how the journal is written: direct (past the page cache), cached, or auto: the quicker on this disk")
	p.StringVar(&f.writeMode, "segment-write", "auto", "how segments are written: auto, mmap or pwrite")
	p.DurationVar(&f.drain, "drain-timeout", 5*time.Second, "how long requests in flight may take to finish at the end")
	p.Float64Var(&f.traceSample, "trace-sample", 0, "share of requests to trace, 0 to 1; GET /v1/traces of the admin server shows the last")
	p.DurationVar(&f.traceSlow, "trace-slow", 0, "trace each request that takes at least so long; 0 for none")
	p.StringVar(&f.traceTo, "trace-endpoint", "", "send traces as OpenTelemetry spans over OTLP/HTTP, such as http://127.0.0.1:4318")
	p.DurationVar(&f.stallWarn, "stall-unhealthy", 5*time.Second, "a commit's write or sync that takes longer makes the broker unhealthy; negative: never")
	p.DurationVar(&f.stallExit, "stall-exit", 20*time.Second, "a commit's write or sync that takes longer ends the process; negative: never")
	f.security.register(p)
	f.tuning.register(p)
	p.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error; kafka-configs --entity-type broker-loggers changes root's at run time")
	p.StringVar(&f.logFormat, "log-format", "text", "text or json")
}

// options turns flags, environment and file into a broker's options.
func (f *serveFlags) options(p *pflag.FlagSet) (broker.Options, error) {
	o := broker.Options{Version: version}
	if err := fromEnvironment(p); err != nil {
		return o, err
	}
	static := map[string]string{}
	if f.config != "" {
		if err := readProperties(f.config, static); err != nil {
			return o, err
		}
		if err := fromFile(p, f.config, static); err != nil {
			return o, err
		}
	}
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || strings.TrimSpace(key) == "" {
			return o, fmt.Errorf("-c %q is not key=value", s)
		}
		static[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if f.nodeID >= 0 {
		static["node.id"] = strconv.Itoa(int(f.nodeID))
	}
	o.Static = static
	o.DataDirs, o.ForgetDataDirs = f.dataDirs, f.forgetDirs
	if len(o.DataDirs) == 0 && static["log.dirs"] == "" && static["log.dir"] == "" {
		o.DataDirs = []string{"./chronik-data"}
	}
	o.Listeners, o.AdvertisedListeners, o.SecurityProtocols = f.listeners, f.advertised, f.protocols
	o.ClusterID = f.clusterID
	o.JournalDir, o.CommitDelay = f.journalDir, f.commitDelay
	o.JournalWrite, o.SegmentWrite = f.journalMode, f.writeMode
	o.AllowWeakerTopics, o.DrainTimeout = f.weaker, f.drain
	o.TraceSample, o.TraceSlow = f.traceSample, f.traceSlow
	if f.traceTo != "" && (f.traceSample == 0 && f.traceSlow == 0 || f.admin == "off") {
		return o, fmt.Errorf("--trace-endpoint %s has nothing to send: it needs --trace-sample or --trace-slow, and the admin server (--admin-listen)", f.traceTo)
	}
	o.StallUnhealthy, o.StallExit = f.stallWarn, f.stallExit
	mode, every, timed := strings.Cut(f.durability, "=")
	if timed {
		var err error
		if o.SyncEvery, err = time.ParseDuration(every); err != nil || o.SyncEvery <= 0 || mode != "interval" {
			return o, fmt.Errorf("--durability %q: only interval takes a time, such as interval=100ms", f.durability)
		}
	}
	switch mode {
	case "commit":
		o.Durability = logstore.Commit
	case "interval":
		o.Durability = logstore.Interval
	case "os":
		o.Durability = logstore.OS
	default:
		return o, fmt.Errorf("--durability %q is not commit, interval, interval=TIME or os", f.durability)
	}
	switch f.acks1 {
	case "durable":
	case "written":
		o.AckWritten = true
	default:
		return o, fmt.Errorf("--acks1 %q is not durable or written", f.acks1)
	}
	switch f.journalMode {
	case "auto", "direct", "cached":
	default:
		return o, fmt.Errorf("--journal-write %q is not auto, direct or cached", f.journalMode)
	}
	switch f.writeMode {
	case "auto", "mmap", "pwrite":
	default:
		return o, fmt.Errorf("--segment-write %q is not auto, mmap or pwrite", f.writeMode)
	}
	var err error
	if o.JournalMax, err = parseBytes(f.journalMax); err != nil {
		return o, fmt.Errorf("--journal-max: %w", err)
	}
	if err := f.security.apply(&o); err != nil {
		return o, err
	}
	if err := f.tuning.apply(&o); err != nil {
		return o, err
	}
	for _, s := range f.limits {
		name, value, _ := strings.Cut(s, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return o, fmt.Errorf("--limit %q is not name=number", s)
		}
		if o.Limits == nil {
			o.Limits = map[string]int64{}
		}
		o.Limits[name] = n
	}
	return o, nil
}

// fromEnvironment sets the flags that were not given from CHRONIK_<FLAG>.
func fromEnvironment(p *pflag.FlagSet) (err error) {
	p.VisitAll(func(flag *pflag.Flag) {
		name := "CHRONIK_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		v, ok := os.LookupEnv(name)
		if !ok || flag.Changed || err != nil {
			return
		}
		if e := p.Set(flag.Name, v); e != nil {
			err = fmt.Errorf("the environment's %s=%q: %w", name, v, e)
		}
	})
	return err
}

// fromFile sets the flags that the file gives by their names and neither the
// command line nor the environment does, and takes them out of keys: what is
// left are Kafka's.
func fromFile(p *pflag.FlagSet, name string, keys map[string]string) error {
	for key, value := range keys {
		flag := p.Lookup(key)
		if flag == nil {
			continue
		}
		if key == "config" {
			return fmt.Errorf("--config %s: config in the file itself is not read; put its lines here", name)
		}
		delete(keys, key)
		if flag.Changed {
			continue
		}
		if err := p.Set(key, value); err != nil {
			return fmt.Errorf("--config %s: %s=%q: %w", name, key, value, err)
		}
	}
	return nil
}

// readProperties reads key=value lines; # and ! begin comments.
func readProperties(name string, into map[string]string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	begun := "" // a line that goes on in the next one; one more ends the last
	for i, line := range append(strings.Split(string(b), "\n"), "") {
		line = begun + strings.TrimSpace(line)
		begun = ""
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		if part, more := strings.CutSuffix(line, "\\"); more {
			begun = part
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("--config %s, line %d: %q is not key=value", name, i+1, line)
		}
		into[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return nil
}

// parseBytes reads a number of bytes: 1048576, 64MiB, 1GiB.
func parseBytes(s string) (int64, error) {
	digits, factor := s, int64(1)
	for _, unit := range []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}} {
		if d, ok := strings.CutSuffix(s, unit.suffix); ok {
			digits, factor = d, unit.factor
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is no number of bytes such as 67108864 or 64MiB", s)
	}
	return n * factor, nil
}

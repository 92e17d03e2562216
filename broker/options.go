package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/logstore/vfs"
)

// Options of a broker. The zero value of a field means its default; only
// DataDirs has none.
type Options struct {
	// DataDirs hold the logs. log.dirs in Static gives them too.
	DataDirs []string
	// ForgetDataDirs is logstore.Options.ForgetDirs.
	ForgetDataDirs []string
	// Listeners is Kafka's listeners, for example
	// "PLAINTEXT://127.0.0.1:9092,EXTERNAL://:9094". Port 0 picks a free one.
	// Default: Static's listeners, then PLAINTEXT://127.0.0.1:9092.
	Listeners string
	// AdvertisedListeners is Kafka's advertised.listeners. A listener that it
	// does not name advertises its own host name, or, when it has an address or
	// nothing for a host, tells each client the address that it connected to.
	AdvertisedListeners string
	// SecurityProtocols is Kafka's listener.security.protocol.map.
	SecurityProtocols string
	// Static is the broker's own configuration by Kafka key (flags, -c, file).
	Static map[string]string
	// Limits overrides numbers of the table of limits by name.
	Limits map[string]int64
	// NodeID is Kafka's node.id; Static's node.id or broker.id come first.
	// Default 1.
	NodeID int32
	// ClusterID must match the data directory's; empty takes what is there.
	ClusterID string

	Durability logstore.Durability
	// SyncEvery is Interval's period. Default 50 ms.
	SyncEvery time.Duration
	// AckWritten answers acks=1 when the batch is written, before it is durable.
	AckWritten bool
	// AllowWeakerTopics lets flush.messages and flush.ms of a topic weaken
	// Durability.
	AllowWeakerTopics bool
	// JournalMax, JournalDir, CommitDelay, JournalWrite, SegmentWrite and WindowBudget are
	// logstore.Options'.
	JournalMax   int64
	JournalDir   string
	CommitDelay  time.Duration
	JournalWrite string
	SegmentWrite string
	WindowBudget int64
	// StallUnhealthy and StallExit are logstore.Options'. A disk that does not
	// answer for StallExit is told by Failed; Close then may not return.
	StallUnhealthy, StallExit time.Duration
	// MaxOpenFiles bounds segment descriptors. Default 1024.
	MaxOpenFiles int

	// Loops is the number of event loops; default one per core.
	Loops int

	// AdminUser is made a super user with SCRAM credentials (good for PLAIN too)
	// when the cluster has no such user; AdminPassword is needed then.
	AdminUser, AdminPassword string
	// AuthTimeout is how long a client may take for TLS and, again, to log in.
	// Default 10 s.
	AuthTimeout time.Duration
	// AuditFile is the audit log. Default audit.log in the first data directory
	// when authorization is on; "off" for none.
	AuditFile string
	// AuditTopic, when set, gets every line of the audit log as a record too.
	AuditTopic string
	// InsecureAcceptUnsignedTokens lets OAUTHBEARER take tokens that nobody has
	// signed when no keys are configured: for trying things out only.
	InsecureAcceptUnsignedTokens bool

	// TraceSample is the share of requests whose way is kept for [Broker.Traces],
	// from 0 to 1; TraceSlow keeps each that took at least so long. Zero of both
	// keeps none and costs nothing.
	TraceSample float64
	TraceSlow   time.Duration

	// FS is the disk; default the real one.
	FS vfs.FS
	// DrainTimeout is how long Close waits for requests in flight. Default 5 s.
	DrainTimeout time.Duration
	// Version is what ApiVersions, logs and metrics call this build.
	Version string
	Logger  *slog.Logger
	// LogLevel is Logger's level when clients may read and change it (resource
	// type 8); default nil, then they see no logger.
	LogLevel *slog.LevelVar

	apis []*api // served besides the table; for tests
}

var errNoDataDir = errors.New("broker: no data directory is given; set DataDirs (--data-dir) or log.dirs")

// fill checks the options and gives a copy with defaults, and the listeners.
func (o Options) fill() (Options, []*listener, error) {
	o.Static = maps.Clone(o.Static)
	if o.Static == nil {
		o.Static = map[string]string{}
	}
	if err := cluster.CheckStatic(o.Static); err != nil {
		return o, nil, fmt.Errorf("broker: the configuration is not valid: %w", err)
	}
	if err := o.checkLimits(); err != nil {
		return o, nil, err
	}
	if len(o.DataDirs) == 0 {
		o.DataDirs = splitList(firstOf(o.Static["log.dirs"], o.Static["log.dir"]))
	}
	if len(o.DataDirs) == 0 {
		return o, nil, errNoDataDir
	}
	for _, key := range []string{"broker.id", "node.id"} {
		if v := o.Static[key]; v != "" {
			id, err := strconv.ParseInt(v, 10, 32)
			if err != nil {
				return o, nil, fmt.Errorf("broker: %s=%s is no node id: %w", key, v, err)
			}
			o.NodeID = int32(id)
		}
	}
	if o.NodeID == 0 && o.Static["node.id"] == "" && o.Static["broker.id"] == "" {
		o.NodeID = 1
	}
	o.Static["node.id"] = strconv.Itoa(int(o.NodeID))
	o.Static["broker.id"] = o.Static["node.id"]
	o.Listeners = firstOf(o.Listeners, o.Static["listeners"], "PLAINTEXT://127.0.0.1:9092")
	o.AdvertisedListeners = firstOf(o.AdvertisedListeners, o.Static["advertised.listeners"])
	o.SecurityProtocols = firstOf(o.SecurityProtocols, o.Static["listener.security.protocol.map"])
	listeners, err := parseListeners(o.Listeners, o.AdvertisedListeners, o.SecurityProtocols)
	if err != nil {
		return o, nil, err
	}
	if err := checkAuditTopic(o.AuditTopic); err != nil {
		return o, nil, err
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 5 * time.Second
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = 50 * time.Millisecond
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = 1024
	}
	if o.TraceSample < 0 || o.TraceSample > 1 {
		return o, nil, fmt.Errorf("broker: TraceSample (--trace-sample) is %g; it is a share of all requests, from 0 to 1", o.TraceSample)
	}
	if o.TraceSlow < 0 {
		return o, nil, fmt.Errorf("broker: TraceSlow (--trace-slow) is %s; it is the time from which a request is kept, or 0 for none", o.TraceSlow)
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, listeners, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

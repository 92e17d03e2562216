package broker

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
)

// The configuration of resource type 8, broker loggers: a logger's level is
// read and changed while the broker runs, and is forgotten when it ends
// (Kafka's RuntimeLoggerManager). There is one logger, the root; the program
// that starts the broker owns its level (Options.LogLevel), and without one
// there is none to list.

// rootLogger is Kafka's name of it.
const rootLogger = "root"

// sourceBrokerLogger is ConfigSource DYNAMIC_BROKER_LOGGER_CONFIG.
const sourceBrokerLogger = 6

// logLevels are Kafka's, with what they let through.
var logLevels = []struct {
	name string
	from slog.Level
}{
	{"TRACE", slog.LevelDebug - 4}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", slog.LevelError + 4},
}

// levelName is the name of the last level that lets no less through.
func levelName(l slog.Level) string {
	name := logLevels[0].name
	for _, known := range logLevels {
		if l >= known.from {
			name = known.name
		}
	}
	return name
}

// levelNames lists them for a message.
func levelNames() string {
	var names []string
	for _, l := range logLevels {
		names = append(names, l.name)
	}
	return strings.Join(names, ", ")
}

// checkLoggerResource checks that name is this broker's.
func (b *Broker) checkLoggerResource(name string) error {
	switch id, err := strconv.Atoi(name); {
	case name == "":
		return refuse(errInvalidRequest, "The loggers are each broker's own: the resource needs a broker id.")
	case err != nil:
		return refuse(errInvalidRequest, fmt.Sprintf("The resource of loggers is named by a broker id, which %q is not.", name))
	case id != int(b.opt.NodeID):
		return refuse(errInvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d, but received %s", b.opt.NodeID, name))
	}
	return nil
}

// describeLoggers lists the loggers; nil names mean all.
func (b *Broker) describeLoggers(r *kmsg.DescribeConfigsRequest, names []string) []kmsg.DescribeConfigsResponseResourceConfig {
	out := []kmsg.DescribeConfigsResponseResourceConfig{}
	if b.opt.LogLevel == nil || names != nil && !slices.Contains(names, rootLogger) {
		return out
	}
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	level := levelName(b.opt.LogLevel.Level())
	c.Name, c.Value, c.Source, c.ConfigType = rootLogger, &level, sourceBrokerLogger, kmsg.ConfigTypeString
	if r.IncludeDocumentation {
		doc := "The least level of what the broker logs: one of " + levelNames() + "."
		c.Documentation = &doc
	}
	return append(out, c)
}

// alterLoggers changes levels; checkLoggerResource and checkEdits have passed.
func (rq *request) alterLoggers(res cluster.Resource, edits []configEdit, replace, validateOnly bool) error {
	if replace {
		return refuse(errInvalidRequest, "AlterConfigs does not change loggers; IncrementalAlterConfigs does.")
	}
	b := rq.s.b
	level := slog.Level(0)
	for _, e := range edits {
		if b.opt.LogLevel == nil || e.key != rootLogger {
			return refuse(errInvalidConfig, fmt.Sprintf("There is no logger %s.", e.key))
		}
		switch e.op {
		case opDelete:
			return refuse(errInvalidRequest, "The root logger has no other to take its level from.")
		case opAppend, opSubtract:
			return refuse(errInvalidRequest, "A logger's level is no list to append to or to subtract from.")
		}
		at := slices.IndexFunc(logLevels, func(l struct {
			name string
			from slog.Level
		}) bool {
			return l.name == *e.value
		})
		if at < 0 {
			return refuse(errInvalidConfig, fmt.Sprintf("The log level of %s cannot be %q: it is one of %s.", e.key, *e.value, levelNames()))
		}
		level = logLevels[at].from
	}
	if validateOnly || len(edits) == 0 {
		return nil
	}
	before := map[string]string{rootLogger: levelName(b.opt.LogLevel.Level())}
	b.opt.LogLevel.Set(level)
	rq.changed(configName(res), before, map[string]string{rootLogger: levelName(level)})
	return nil
}

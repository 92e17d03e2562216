package broker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-stream/chronik/cluster"
)

// TestLoggers reads and changes the root logger's level as kafka-configs does,
// and sees what the logger lets through.
func TestLoggers(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
	b := run(t, func(o *Options) { o.LogLevel = level })
	w := dial(t, b)
	res := cluster.Resource{Type: cluster.ResourceBrokerLogger, Name: "1"}
	says := func() (lines []string) {
		out.Reset()
		for _, l := range logLevels {
			logger.Log(t.Context(), l.from, "said", "at", l.name)
		}
		for line := range strings.Lines(out.String()) {
			_, at, _ := strings.Cut(strings.TrimSpace(line), "at=")
			lines = append(lines, at)
		}
		return lines
	}
	all := []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
	for i, name := range append(all, "INFO") {
		if name == "INFO" && i > len(all)-1 {
			i = 2
		}
		if r := alterOne(w, res, "root", &name); r.ErrorCode != 0 {
			t.Fatalf("the level %s is refused: %d %s", name, r.ErrorCode, errText(r.ErrorMessage))
		}
		c := describeOne(t, w, res, "root")
		if c.Value == nil || *c.Value != name || c.ReadOnly || c.IsSensitive || c.Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
			t.Errorf("after %s the logger is told as %+v", name, c)
		}
		if got := strings.Join(says(), " "); got != strings.Join(all[i:], " ") {
			t.Errorf("at %s it lets %s through", name, got)
		}
	}
	for _, bad := range []struct {
		name, key string
		op        kmsg.IncrementalAlterConfigOp
		value     string
		code      int16
		says      string
	}{
		{"1", "root", opSet, "LOUD", errInvalidConfig, `"LOUD"`},
		{"1", "root", opSet, "debug", errInvalidConfig, `"debug"`},
		{"1", "kafka.server.KafkaApis", opSet, "DEBUG", errInvalidConfig, "no logger kafka.server.KafkaApis"},
		{"1", "nobody", opDelete, "", errInvalidConfig, "no logger nobody"},
		{"1", "root", opDelete, "", errInvalidRequest, "root"},
		{"1", "root", opAppend, "DEBUG", errInvalidRequest, "list"},
		{"1", "root", opSubtract, "INFO", errInvalidRequest, "list"},
		{"2", "root", opSet, "DEBUG", errInvalidRequest, "expected 1"},
		{"x", "root", opSet, "DEBUG", errInvalidRequest, `"x"`},
		{"", "root", opSet, "DEBUG", errInvalidRequest, "broker id"},
	} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Version = 1
		one := kmsg.NewIncrementalAlterConfigsRequestResource()
		one.ResourceType, one.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, bad.name
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = bad.key, bad.op, &bad.value
		one.Configs = append(one.Configs, c)
		req.Resources = append(req.Resources, one)
		r := ask[*kmsg.IncrementalAlterConfigsResponse](w, req).Resources[0]
		if r.ErrorCode != bad.code || !strings.Contains(errText(r.ErrorMessage), bad.says) {
			t.Errorf("%+v: code %d %q", bad, r.ErrorCode, errText(r.ErrorMessage))
		}
		if level.Level() != slog.LevelInfo {
			t.Errorf("%+v: refused, and the level is %v", bad, level)
		}
	}
	debug := "DEBUG"
	only := kmsg.NewPtrIncrementalAlterConfigsRequest()
	only.Version, only.ValidateOnly = 1, true
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "1"
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "root", &debug
	one.Configs = append(one.Configs, c)
	only.Resources = append(only.Resources, one)
	if r := ask[*kmsg.IncrementalAlterConfigsResponse](w, only).Resources[0]; r.ErrorCode != 0 || level.Level() != slog.LevelInfo {
		t.Errorf("validated only: code %d, and the level is %v", r.ErrorCode, level)
	}
	whole := kmsg.NewPtrAlterConfigsRequest()
	whole.Version = 2
	set := kmsg.NewAlterConfigsRequestResource()
	set.ResourceType, set.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "1"
	whole.Resources = append(whole.Resources, set)
	if r := ask[*kmsg.AlterConfigsResponse](w, whole).Resources[0]; r.ErrorCode != errInvalidRequest {
		t.Errorf("AlterConfigs of a logger: code %d", r.ErrorCode)
	}
}

// TestLoggersWithout: who starts a broker without a level shows no logger.
func TestLoggersWithout(t *testing.T) {
	w := dial(t, run(t, nil))
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "1"
	req.Resources = append(req.Resources, one)
	if r := ask[*kmsg.DescribeConfigsResponse](w, req).Resources[0]; r.ErrorCode != 0 || len(r.Configs) != 0 {
		t.Errorf("code %d, loggers %v", r.ErrorCode, r.Configs)
	}
	debug := "DEBUG"
	if r := alterOne(w, cluster.Resource{Type: cluster.ResourceBrokerLogger, Name: "1"}, "root", &debug); r.ErrorCode != errInvalidConfig {
		t.Errorf("its level can be set: code %d", r.ErrorCode)
	}
}

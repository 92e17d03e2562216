package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/admin"
	"github.com/chronik-stream/chronik/broker"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/logstore"
)

func newServeCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker in the foreground",
		Long: `Run a broker in the foreground. One log line with the word "ready" says that it
accepts connections. SIGTERM and SIGINT let the requests in flight finish and end
it with status 0; a second signal ends it at once.

Every flag can be given in the environment, --data-dir as CHRONIK_DATA_DIR and so
on, and in the file of --config by its name, data-dir=/srv/chronik, beside Kafka's
keys. A flag comes before the environment, the environment before the file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, level, err := f.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			o, err := f.options(cmd.Flags())
			if err != nil {
				return err
			}
			o.Logger, o.LogLevel = logger, level
			for _, pair := range f.set {
				key, _, _ := strings.Cut(pair, "=")
				if d := cluster.FindConfig(cluster.ResourceBroker, strings.TrimSpace(key)); d != nil && d.Sensitive() {
					logger.Warn("a secret stands on the command line, where everybody on this machine can read it; put it into the file of --config", "key", d.Name)
				}
			}
			return serve(cmd.Context(), o, f, cmd.Flags().Changed("admin-listen"))
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// heavyWorkers is how many goroutines besides the loops may use a core for
// long (recompression, compaction, TLS). GOMAXPROCS is raised by it, so that
// the kernel and not the Go scheduler shares the cores: a loop that waits
// behind a goroutine that computes otherwise waits for up to 10 ms. Measured on
// 2 cores in commit mode, 2 rounds in turn, GOMAXPROCS 2, 3 and 4: CPU µs per
// request with one client 212, 117, 129; 32 clients 20, 26 and 26 thousand
// requests/s with a p99 of 9.5, 3.8 and 5.9 ms. Loops and committer sleep in
// system calls that keep their P, so there must be more of those.
//
// Nothing else of the runtime is set. The collector takes at most 2 % of the
// samples in any cell of the comparison (the heap is a few MB and a request
// allocates nothing), so GOGC and GOMEMLIMIT are Go's own.
const heavyWorkers = 2

// serve runs a broker until ctx ends.
func serve(ctx context.Context, o broker.Options, f *serveFlags, adminAsked bool) error {
	open, err := f.security.openPaths()
	if err != nil {
		return err
	}
	switch n := f.tuning.gomaxprocs; {
	case n > 0:
		runtime.GOMAXPROCS(n)
	case os.Getenv("GOMAXPROCS") == "":
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + heavyWorkers)
	}
	if err := shareDescriptors(&o); err != nil {
		return err
	}
	b, err := broker.Start(o)
	if err != nil {
		return err
	}
	reloadOnHangup(ctx, b, o.Logger)
	var side *admin.Server
	if adminAddr := f.admin; adminAddr != "" && adminAddr != "off" {
		adminTLS, err := f.security.adminSide(b, adminAddr, o.Logger)
		if err != nil {
			return errors.Join(err, b.Close())
		}
		side, err = admin.Listen(admin.Options{Broker: b, Addr: adminAddr, TLS: adminTLS, Logger: o.Logger, Authorize: authorizeAdmin(b), Open: open, Pprof: f.pprof, TraceEndpoint: f.traceTo})
		switch {
		case err == nil:
		case !adminAsked && errors.Is(err, syscall.EADDRINUSE):
			o.Logger.Warn("the default address of the admin server is in use; going on without (--admin-listen)", "address", f.admin)
			side = nil
		default:
			return errors.Join(err, b.Close())
		}
	}
	ready := []any{"took", time.Since(b.Started()).Round(time.Microsecond), "durability", b.Durability(), "version", o.Version, "pid", os.Getpid()}
	for name, addr := range b.Addrs() {
		ready = append(ready, name, addr)
	}
	if side != nil {
		ready = append(ready, "admin", side.Addr())
	}
	o.Logger.Info("ready", ready...)

	var failed error
	select {
	case <-ctx.Done():
		o.Logger.Info("stopping: requests in flight may finish", "for", o.DrainTimeout)
	case failed = <-b.Failed():
		o.Logger.Error("stopping: the broker cannot go on", "error", failed)
	}
	if side != nil {
		if err := side.Close(); err != nil {
			o.Logger.Warn("the admin server did not end in order", "error", err)
		}
	}
	if errors.Is(failed, logstore.ErrStalled) {
		err = closeWithin(b, o.DrainTimeout+stalledClose)
	} else {
		err = b.Close()
	}
	if errors.Is(err, broker.ErrDrainTimeout) {
		// Said in the log; the logs themselves are closed in order.
		o.Logger.Warn("some requests were not answered", "error", err)
		err = nil
	}
	if err == nil && failed == nil {
		o.Logger.Info("stopped")
	}
	return errors.Join(failed, err)
}

// stalledClose is how long a broker may take to close, beyond its drain, when a
// disk does not answer.
const stalledClose = 5 * time.Second

// closeWithin closes a broker whose disk hangs, as far as that goes: clients are
// let go, and the process ends whether or not the disk comes back.
func closeWithin(b *broker.Broker, limit time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- b.Close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("the broker did not close within %s; the next start recovers", limit)
	}
}

// shareDescriptors divides RLIMIT_NOFILE: 55 % connections, 35 % segment
// files, the rest for everything else.
func shareDescriptors(o *broker.Options) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	n := int64(min(limit.Cur, 1<<30))
	if o.Limits == nil {
		o.Limits = map[string]int64{}
	}
	if _, set := o.Limits["connections"]; !set && o.Static["max.connections"] == "" {
		o.Limits["connections"] = max(n*55/100, 16)
	}
	o.MaxOpenFiles = int(max(n*35/100, 16))
	return nil
}

// logger writes to w as --log-format and --log-level say; the level may change.
func (f *serveFlags) logger(w io.Writer) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, nil, fmt.Errorf("--log-level %q is not debug, info, warn or error", f.logLevel)
	}
	o := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), level, nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), level, nil
	}
	return nil, nil, fmt.Errorf("--log-format %q is not text or json", f.logFormat)
}

package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chronik-stream/chronik/broker"
)

// Options of a Server.
type Options struct {
	Broker *broker.Broker
	// Addr is host:port; bind to loopback unless Authorize guards it.
	Addr string
	// Authorize, when not nil, is asked for every request but those that Open
	// names; false refuses it with 401.
	Authorize func(r *http.Request) bool
	// TLS, when not nil, is what is spoken instead of plain HTTP.
	TLS *tls.Config
	// Open are paths that need no authorisation (/livez, /readyz, /metrics).
	Open map[string]bool
	// Pprof serves Go's profiles of the process under /debug/pprof/.
	Pprof bool
	// TraceEndpoint, when not empty, is where the requests that the broker
	// traces go as spans: an OTLP/HTTP address like http://127.0.0.1:4318.
	TraceEndpoint string
	Logger        *slog.Logger
}

// Server is the HTTP side of one broker. It has a registry of its own, so that
// two brokers fit in one process.
type Server struct {
	o        Options
	http     *http.Server
	listener net.Listener
	done     chan struct{}
	spans    *spans // nil without a TraceEndpoint
}

// Listen binds and serves.
func Listen(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin: the HTTP address %s (--admin-listen) cannot be bound: %w", o.Addr, err)
	}
	if o.TLS != nil {
		l = tls.NewListener(l, o.TLS)
	}
	s := &Server{o: o, listener: l, done: make(chan struct{})}
	if o.TraceEndpoint != "" {
		if s.spans, err = newSpans(o.Broker, o.TraceEndpoint, o.Logger); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	s.http = &http.Server{
		Handler: s.guard(s.mux()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	o.Broker.Go("admin", func() {
		defer close(s.done)
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("the admin server ended", "error", err)
		}
	})
	return s, nil
}

// Addr is the bound address.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server; requests under way have a second to finish.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	if s.spans != nil {
		err = errors.Join(err, s.spans.close())
	}
	return err
}

// mux is every path.
func (s *Server) mux() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(s.o.Broker))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		// One metric that cannot be told must not hide the others.
		ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /v1/broker", s.view(s.broker))
	mux.HandleFunc("GET /v1/topics", s.view(s.topics))
	mux.HandleFunc("GET /v1/topics/{topic}", s.view(s.topic))
	mux.HandleFunc("GET /v1/groups", s.view(s.groups))
	mux.HandleFunc("GET /v1/transactions", s.view(s.transactions))
	mux.HandleFunc("GET /v1/disks", s.view(s.disks))
	mux.HandleFunc("GET /v1/traces", s.view(s.traces))
	mux.HandleFunc("GET /{$}", s.page)
	if s.o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and every named profile
		// Not cmdline: a -c on it may hold a password.
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// guard asks for authorisation.
func (s *Server) guard(next http.Handler) http.Handler {
	if s.o.Authorize == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.o.Open[r.URL.Path] && !s.o.Authorize(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="chronik"`)
			http.Error(w, "log in as a user who may describe the cluster", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// live: the process answers, and no disk has been stalled for too long.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	if err := s.o.Broker.Store().Stalled(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// ready: requests are served.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.o.Broker.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-stream/chronik/auth"
	"github.com/chronik-stream/chronik/cluster"
	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/group/txn"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/netloop"
)

// Broker is a running broker.
type Broker struct {
	opt       Options
	static    map[string]string
	listeners []*listener
	logger    *slog.Logger
	started   time.Time

	goroutines goroutines
	closing    chan struct{} // closed when Close begins
	closeOnce  sync.Once
	closeErr   error
	draining   atomic.Bool
	failed     chan error // capacity 1

	server   *netloop.Server
	loops    []*loop
	loopList atomic.Pointer[[]*loop] // the same, for committers
	store    *logstore.Store
	opened   atomic.Pointer[logstore.Store] // the same, for goroutines that Open begins
	cluster  *cluster.Cluster
	auth     *auth.Authorizer
	security *security
	groups   atomic.Pointer[group.Coordinator]
	txns     atomic.Pointer[txn.Coordinator]

	apis       *registry
	topics     topics
	workers    workers
	converters workers // of old fetches
	accepts    acceptRate
	sessions   fetchSessions
	telemetry  telemetry
	metadata   metadataCache
	tracer     *tracer
	settings   atomic.Pointer[settings]

	// topicMu makes changes of topics one at a time: each is a change of the
	// metadata and then of the logs, and the two must not interleave.
	topicMu sync.Mutex
	// configMu has a topic's configuration read and handed to its logs in one
	// step, so that of two changes at a time the later one stays. No I/O under it.
	configMu sync.Mutex
}

// Start recovers the data directories, binds the listeners and serves. When it
// returns without an error the broker answers requests. It touches nothing
// global: no signals, no default logger, no GOMAXPROCS.
func Start(o Options) (*Broker, error) {
	o, listeners, err := o.fill()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		opt: o, static: o.Static, listeners: listeners, logger: o.Logger, started: time.Now(),
		closing: make(chan struct{}), failed: make(chan error, 1), apis: newRegistry(slices.Concat(table, o.apis)),
	}
	b.tracer = newTracer(o.TraceSample, o.TraceSlow, int(o.limit(limitTraces)))
	b.metadata.max = int(o.limit(limitMetadata))
	b.goroutines.b = b
	b.security = &security{b: b}
	b.topics.init()
	if err := b.start(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// start does what Start promises; what it has made when it fails, Close undoes.
func (b *Broker) start() error {
	o := &b.opt
	nl := netloop.Options{
		Handler: handler{b}, Loops: o.Loops, Logger: b.logger, Go: b.goroutines.Go,
		MaxInFlight:         int(b.limit(limitInFlight)),
		FrameLimit:          int(b.limit(limitFrame)),
		MaxConnections:      int(b.limit(limitConnections)),
		MaxConnectionsPerIP: int(b.limit(limitConnectionsIP)),
		InFlightBytes:       b.limit(limitInFlightBytes),
		SocketSendBuffer:    int(o.number("socket.send.buffer.bytes")),
		SocketReceiveBuffer: int(o.number("socket.receive.buffer.bytes")),
		IdleTimeout:         idleTimeout(b.static),
		Admit:               b.security.admit,
		HandshakeFailed:     b.security.handshakeFailed,
	}
	if err := b.security.prepare(); err != nil {
		return err
	}
	nl.HandshakeTimeout = b.security.authTimeout
	for _, l := range b.listeners {
		one := netloop.Listener{Name: l.name, Addr: l.addr}
		if l.protocol.TLS() {
			one.TLS = l.tlsConfig()
		}
		nl.Listeners = append(nl.Listeners, one)
	}
	// Bound first: a port that is in use should be known before a recovery.
	server, err := netloop.Listen(nl)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	b.server = server
	for _, l := range server.Loops() {
		own := &loop{b: b, nl: l, live: map[*session]struct{}{}}
		own.lend = func() { own.nl.Lend(own) }
		b.loops = append(b.loops, own)
	}
	b.loopList.Store(&b.loops)
	b.showEffective()
	b.goroutines.Go("watch", func() {
		select {
		case err := <-server.Failed():
			b.fail(err)
		case <-b.closing:
		}
	})
	b.sessions.init(int(b.limit(limitFetchSessions)), b.limit(limitFetchPartitions))

	b.store, err = logstore.Open(b.storeOptions())
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	b.opened.Store(b.store)
	b.cluster, err = cluster.Open(cluster.Options{
		Store: b.store, NodeID: o.NodeID, ClusterID: o.ClusterID, Rack: b.static["broker.rack"], Static: b.static,
		MaxPartitions: int(b.limit(limitPartitions)), Logger: b.logger, Go: b.goroutines.Go,
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	b.store.SetIdentity(b.cluster.Image().ClusterID, o.NodeID)
	if err := b.recover(); err != nil {
		return err
	}
	b.workers.init("worker")
	b.converters.init("converter")
	b.converters.nice = converterNice
	b.converters.resize(b, converters)
	b.cluster.Subscribe(func(_, _ *cluster.Image) { b.readSettings() })
	b.readSettings()
	if err := b.security.open(); err != nil {
		return err
	}
	b.startGroups()
	b.startTransactions()
	b.server.Serve()
	b.logger.Info("serving", "listeners", b.Addrs(), "topics", len(b.cluster.Image().Topics()), "took", time.Since(b.started))
	return nil
}

// recover opens the log of every partition that the metadata has.
func (b *Broker) recover() error {
	image := b.cluster.Image()
	for _, ct := range image.Topics() {
		t := newTopic(ct)
		parts, err := b.openLogs(t, ct, 0, b.store.OpenLog)
		if err != nil {
			return fmt.Errorf("broker: open the logs of topic %s: %w", ct.Name, err)
		}
		b.topics.put(t, parts)
	}
	known := func(name string, id logstore.TopicID, partition int32) bool {
		if name == cluster.MetadataTopic {
			return true
		}
		t := image.TopicByID(id)
		return t != nil && t.Name == name && partition < t.Partitions
	}
	if err := b.store.Ready(known); err != nil {
		return fmt.Errorf("broker: end of recovery: %w", err)
	}
	return nil
}

// onOffline is told that a data directory was taken out of service. With the
// last one gone the broker cannot go on.
func (b *Broker) onOffline(dir string, why error) {
	b.logger.Error("a data directory is offline", "dir", dir, "why", why)
	b.goroutines.Go("offline", func() {
		// A directory may fail while the store is opened; then it is Open that
		// knows whether one is left.
		if store := b.opened.Load(); store != nil && !store.Usable() {
			b.fail(fmt.Errorf("broker: no data directory is online; the last, %s, failed: %w", dir, why))
		}
	})
}

// onStall is told that a disk does not answer.
func (b *Broker) onStall(dir string, why error) {
	b.logger.Error("a data directory's disk does not answer", "dir", dir, "why", why)
	b.fail(fmt.Errorf("broker: %w", why))
}

// fail tells that the broker cannot go on.
func (b *Broker) fail(err error) {
	select {
	case b.failed <- err:
	default: // the first reason counts
	}
}

// Failed gives an error when the broker cannot go on: its last data directory
// is offline, or an event loop has ended. It still has to be closed.
func (b *Broker) Failed() <-chan error { return b.failed }

// ErrDrainTimeout is wrapped by Close's error when requests were still
// unanswered after Options.DrainTimeout.
var ErrDrainTimeout = netloop.ErrDrainTimeout

// Close drains: it stops accepting, answers parked fetches, waits for requests
// in flight up to Options.DrainTimeout, then closes connections, coordinators,
// metadata and logs. No goroutine, descriptor or map of the broker's is left.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() { b.closeErr = b.close() })
	return b.closeErr
}

func (b *Broker) close() error {
	var errs []error
	b.draining.Store(true)
	close(b.closing)
	if b.server != nil {
		b.server.StopAccepting()
		for _, l := range b.loops {
			l.nl.Post(&drainTask{l})
		}
	}
	if txns := b.txns.Load(); txns != nil {
		txns.Close()
	}
	if groups := b.groups.Load(); groups != nil {
		groups.Close()
	}
	if b.server != nil {
		errs = append(errs, b.server.Shutdown(time.Now().Add(b.opt.DrainTimeout)))
	}
	if b.workers.cond != nil {
		b.workers.close()
		b.converters.close()
	}
	errs = append(errs, b.security.close())
	if b.cluster != nil {
		errs = append(errs, b.cluster.Close())
	}
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	b.goroutines.wg.Wait()
	return errors.Join(errs...)
}

// drainTask answers what is parked on a loop.
type drainTask struct{ l *loop }

func (t *drainTask) RunOnLoop(*netloop.Loop) {
	t.l.drain()
}

// Addr is the address of the first listener as a client on this machine can
// dial it.
func (b *Broker) Addr() string { return b.dialable(b.listeners[0].name) }

// Addrs is each listener's address by its name.
func (b *Broker) Addrs() map[string]string {
	m := make(map[string]string, len(b.listeners))
	for _, l := range b.listeners {
		m[l.name] = b.dialable(l.name)
	}
	return m
}

func (b *Broker) dialable(name string) string {
	a := b.server.Addr(name)
	ip := a.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip, a.Port()).String()
}

func (b *Broker) listenerByName(name string) *listener {
	for _, l := range b.listeners {
		if l.name == name {
			return l
		}
	}
	return nil
}

// endpoint is what a client on this connection is told of this broker.
func (s *session) endpoint() (host string, port int32) {
	l := s.listener
	if l.advertisedHost != "" {
		port := l.advertisedPort
		if port == 0 {
			port = int32(s.conn.LocalAddr().Port())
		}
		return l.advertisedHost, port
	}
	local := s.conn.LocalAddr()
	return local.Addr().Unmap().String(), int32(local.Port())
}

// Ready reports whether the broker serves: recovered, at least one data
// directory online, no disk that hangs, not closing, no goroutine lost. The error says why not.
func (b *Broker) Ready() error {
	switch {
	case b.draining.Load():
		return errShuttingDown
	case !b.store.Usable():
		return errors.New("broker: no data directory is online")
	}
	if err := b.store.Stalled(); err != nil {
		return err
	}
	if lost := b.goroutines.lost.Load(); lost != nil {
		return *lost
	}
	return nil
}

// Server, Store and Cluster are for whoever reads counters and states (admin).
func (b *Broker) Server() *netloop.Server { return b.server }

// Store is the logs.
func (b *Broker) Store() *logstore.Store { return b.store }

// Cluster is the metadata.
func (b *Broker) Cluster() *cluster.Cluster { return b.cluster }

// Groups is the group coordinator, Transactions the transaction coordinator.
func (b *Broker) Groups() *group.Coordinator { return b.groups.Load() }

// Transactions is the transaction coordinator.
func (b *Broker) Transactions() *txn.Coordinator { return b.txns.Load() }

// Log is an open log, or nil.
func (b *Broker) Log(topic string, partition int32) *logstore.Log { return b.logOf(topic, partition) }

// Durability is the mode in words: when an append counts as done.
func (b *Broker) Durability() string {
	switch b.opt.Durability {
	case logstore.Interval:
		return fmt.Sprintf("interval: written, synced within %v", b.opt.SyncEvery)
	case logstore.OS:
		return "os: written, synced when the kernel likes"
	}
	return "commit: synced to disk"
}

// Go starts a goroutine that recovers and that Close waits for.
func (b *Broker) Go(name string, f func()) { b.goroutines.Go(name, f) }

// Started is when Start was called.
func (b *Broker) Started() time.Time { return b.started }

// Version is Options.Version.
func (b *Broker) Version() string { return b.opt.Version }

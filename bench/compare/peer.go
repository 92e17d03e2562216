package compare

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/bench"
)

// Peer is a broker that can be started on a data directory of its own.
type Peer struct {
	// Name is short and goes into tables; Key has no spaces.
	Name, Key string
	// AckRule says when it acknowledges.
	AckRule string
	// Kafka starts Apache Kafka by the script, with these keys added.
	Kafka bool
	Args  []string
	// Slow peers (starts of seconds) are started once.
	Slow bool
	// Secure peers are loaded over a SASL_SSL listener, logged in by SCRAM-SHA-256.
	Secure bool
}

// Peers are those that are compared, in the order of the tables.
func Peers() []Peer {
	return []Peer{
		{Name: "Kafka, as shipped", Key: "kafka", AckRule: "page cache", Kafka: true, Slow: true},
		{Name: "Kafka, fsync", Key: "kafka-fsync", AckRule: "a sync for each append (log.flush.interval.messages=1)", Kafka: true, Slow: true,
			Args: []string{"log.flush.interval.messages=1"}},
		{Name: "Chronik commit", Key: "commit", AckRule: "fdatasync before the ack", Args: []string{"--durability", "commit"}},
		{Name: "Chronik interval", Key: "interval", AckRule: "written; a sync within 50 ms", Args: []string{"--durability", "interval"}},
		{Name: "Chronik os", Key: "os", AckRule: "page cache", Args: []string{"--durability", "os"}},
		{Name: "Kafka, as shipped, SASL_SSL", Key: "kafka-ssl", AckRule: "page cache", Kafka: true, Slow: true, Secure: true},
		{Name: "Chronik commit, SASL_SSL", Key: "commit-ssl", AckRule: "fdatasync before the ack", Args: []string{"--durability", "commit"}, Secure: true},
		{Name: "Chronik os, SASL_SSL", Key: "os-ssl", AckRule: "page cache", Args: []string{"--durability", "os"}, Secure: true},
	}
}

// deleteDelay has both brokers give the disk back soon after a run's topic was
// deleted, or a long comparison would fill it.
const deleteDelay = "log.segment.delete.delay.ms=1000"

// instance is a running peer.
type instance struct {
	peer  Peer
	addr  string // what is loaded
	admin string // Chronik's admin server
	pid   int
	ready time.Duration // from exec to the first answer
	dir   string
	args  []string  // Chronik's, to start it again
	cmd   *exec.Cmd // nil for Kafka, which the script started
	log   *bytes.Buffer
	o     *Options
	// Of a secure peer: the plain listener, and a client's view of the other.
	plain string
	tls   *tls.Config
	// prepared are the keys of the cells that have prepared it.
	prepared map[string]bool
}

func (i *instance) target() bench.Target {
	t := bench.Target{Bootstrap: i.addr, PID: i.pid, AckRule: i.peer.AckRule}
	if i.peer.Secure {
		t.TLS, t.Login = i.tls, login().AsSha256Mechanism()
	}
	return t
}

// alive tells whether the broker's process is there and no zombie.
func (i *instance) alive() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", i.pid))
	if err != nil {
		return false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 0 && string(fields[0]) != "Z"
}

// start runs a peer on a new directory and waits for its first answer.
func (o *Options) start(ctx context.Context, p Peer) (*instance, error) {
	dir, err := os.MkdirTemp(o.Work, p.Key+"-")
	if err != nil {
		return nil, err
	}
	i := &instance{peer: p, dir: dir, o: o, log: &bytes.Buffer{}, prepared: map[string]bool{}}
	if p.Kafka {
		err = i.startKafka(ctx)
	} else {
		err = i.startChronik(ctx)
	}
	if err == nil && p.Secure {
		err = i.addUser(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", p.Name, err), i.stop())
	}
	return i, nil
}

func (i *instance) startChronik(ctx context.Context) error {
	port, err := freePort(3)
	if err != nil {
		return err
	}
	i.addr, i.admin = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
	i.args = append([]string{"serve", "--data-dir", filepath.Join(i.dir, "data"), "--admin-listen", i.admin, "--pprof", "-c", deleteDelay,
		"-c", "group.initial.rebalance.delay.ms=0"}, i.peer.Args...) // Kafka's script has it as well
	if i.peer.Secure {
		keys, err := i.secure(port, port+2, "")
		if err != nil {
			return err
		}
		// A listener with login denies what no ACL allows; there are none here.
		for _, k := range append(keys, "allow.everyone.if.no.acl.found=true") {
			i.args = append(i.args, "-c", k)
		}
	} else {
		i.args = append(i.args, "--listeners", "PLAINTEXT://"+i.addr)
	}
	return i.exec(ctx, func() error { return bench.WaitReady(ctx, i.firstAddr(), 30*time.Second) })
}

// firstAddr is the plain listener's.
func (i *instance) firstAddr() string {
	if i.plain != "" {
		return i.plain
	}
	return i.addr
}

// exec starts Chronik's process and takes the time until it has served.
func (i *instance) exec(ctx context.Context, served func() error) error {
	i.cmd = exec.Command(i.o.Chronik, i.args...)
	i.cmd.Stdout, i.cmd.Stderr = i.log, i.log
	// An interrupt of the comparison is not one of its brokers: it stops them.
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := i.cmd.Start(); err != nil {
		return err
	}
	i.pid = i.cmd.Process.Pid
	if err := served(); err != nil {
		return errors.Join(err, ctx.Err())
	}
	i.ready = time.Since(began)
	return nil
}

// restart ends Chronik's process, in order or not, and starts it on the same
// directory; ready is then the time until served was content.
func (i *instance) restart(ctx context.Context, kill bool, served func() error) error {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	if err := i.cmd.Process.Signal(sig); err != nil {
		return err
	}
	if err := i.cmd.Wait(); err != nil && !kill {
		return fmt.Errorf("%s ended badly: %w: %s", i.peer.Name, err, strings.TrimSpace(i.log.String()))
	}
	return i.exec(ctx, func() error {
		if err := bench.WaitReady(ctx, i.firstAddr(), time.Minute); err != nil {
			return err
		}
		return served()
	})
}

func (i *instance) startKafka(ctx context.Context) error {
	port, err := freePort(3)
	if err != nil {
		return err
	}
	i.addr = fmt.Sprintf("127.0.0.1:%d", port)
	args := append([]string{"start", i.o.KafkaDir, filepath.Join(i.dir, "data"), strconv.Itoa(port), deleteDelay}, i.peer.Args...)
	if i.peer.Secure {
		keys, err := i.secure(port, port+2, fmt.Sprintf(",CONTROLLER://127.0.0.1:%d", port+1))
		if err != nil {
			return err
		}
		args = append(args, keys...)
	}
	first := i.firstAddr()
	answered := make(chan error, 1)
	go func() { answered <- bench.WaitReady(ctx, first, 90*time.Second) }()
	var at unix.Timespec
	done := make(chan error, 1)
	cmd := exec.Command(i.o.KafkaScript, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, i.log
	go func() { done <- cmd.Run() }()
	// The first answer counts, not the script's last look.
	answer := <-answered
	clock := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at)
	if err := errors.Join(<-done, clock); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(i.log.String()))
	}
	if i.pid, err = strconv.Atoi(strings.TrimSpace(out.String())); err != nil {
		return fmt.Errorf("the script printed no pid: %w", err)
	}
	began, started := startedAt(i.pid)
	i.ready = time.Duration(at.Nano()) - began
	return errors.Join(answer, started)
}

// startedAt is when a process began, since boot, to 10 ms.
func startedAt(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	ticks, err := strconv.ParseInt(string(fields[19]), 10, 64)
	return time.Duration(ticks) * 10 * time.Millisecond, err
}

// stop ends the broker in order and removes its data.
func (i *instance) stop() error {
	var err error
	switch {
	case i.pid == 0:
	case !i.alive() && i.peer.Kafka:
		err = fmt.Errorf("%s had ended before it was stopped", i.peer.Name)
	case i.peer.Kafka:
		var out []byte
		if out, err = exec.Command(i.o.KafkaScript, "stop", strconv.Itoa(i.pid)).CombinedOutput(); err != nil {
			err = fmt.Errorf("stopping %s: %w: %s", i.peer.Name, err, out)
		}
	default:
		if err = i.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
			err = nil // Wait tells how
		}
		late := time.AfterFunc(30*time.Second, func() {
			_ = i.cmd.Process.Kill() // it may have ended since; Wait tells
		})
		if e := i.cmd.Wait(); e != nil {
			err = fmt.Errorf("%s ended badly: %w: %s", i.peer.Name, e, strings.TrimSpace(i.log.String()))
		}
		late.Stop()
	}
	return errors.Join(err, os.RemoveAll(i.dir))
}

// freePort finds n free ports in a row on loopback. It looks below the range that
// the kernel gives to clients: a cell that opens and closes 2,000 connections a
// second leaves all of that range in TIME_WAIT for a minute, where a port may be
// free but hardly three in a row.
func freePort(n int) (int, error) {
	low, err := firstClientPort()
	if err != nil {
		return 0, err
	}
	const least = 10000 // below it services have their ports
	if low < least+n {
		return 0, fmt.Errorf("the kernel gives clients' connections ports from %d on, which leaves none for brokers: raise net.ipv4.ip_local_port_range above %d", low, least+n)
	}
	for range 200 {
		port := least + rand.IntN(low-least-n+1)
		free := true
		for k := port; k < port+n && free; k++ {
			free = isFree(k)
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row on 127.0.0.1 between %d and %d", n, least, low)
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && l.Close() == nil
}

// firstClientPort is where the range begins that the kernel takes a client's port
// from.
func firstClientPort() (low int, err error) {
	const name = "/proc/sys/net/ipv4/ip_local_port_range"
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(string(b), &low); err != nil {
		return 0, fmt.Errorf("%s holds %q, not two ports: %w", name, b, err)
	}
	return low, nil
}

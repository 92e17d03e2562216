package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	// Slow peers (starts of seconds) are started once in short comparisons.
	Slow bool
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
	}
}

// deleteDelay has both brokers give the disk back soon after a run's topic was
// deleted, or a long comparison would fill it.
const deleteDelay = "log.segment.delete.delay.ms=1000"

// instance is a running peer.
type instance struct {
	peer  Peer
	addr  string
	pid   int
	ready time.Duration // from exec to the first answer
	dir   string
	cmd   *exec.Cmd // nil for Kafka, which the script started
	log   bytes.Buffer
	o     *Options
}

func (i *instance) target() bench.Target {
	return bench.Target{Bootstrap: i.addr, PID: i.pid, AckRule: i.peer.AckRule}
}

// start runs a peer on a new directory and waits for its first answer.
func (o *Options) start(ctx context.Context, p Peer) (*instance, error) {
	dir, err := os.MkdirTemp(o.Work, p.Key+"-")
	if err != nil {
		return nil, err
	}
	i := &instance{peer: p, dir: dir, o: o}
	if p.Kafka {
		err = i.startKafka(ctx)
	} else {
		err = i.startChronik(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", p.Name, err), i.stop())
	}
	return i, nil
}

func (i *instance) startChronik(ctx context.Context) error {
	port, err := freePort(1)
	if err != nil {
		return err
	}
	i.addr = fmt.Sprintf("127.0.0.1:%d", port)
	args := append([]string{"serve", "--data-dir", filepath.Join(i.dir, "data"), "--listeners", "PLAINTEXT://" + i.addr,
		"--admin-listen", "off", "-c", deleteDelay}, i.peer.Args...)
	i.cmd = exec.Command(i.o.Chronik, args...)
	i.cmd.Stdout, i.cmd.Stderr = &i.log, &i.log
	began := time.Now()
	if err := i.cmd.Start(); err != nil {
		return err
	}
	i.pid = i.cmd.Process.Pid
	if err := bench.WaitReady(ctx, i.addr, 30*time.Second); err != nil {
		return err
	}
	i.ready = time.Since(began)
	return nil
}

func (i *instance) startKafka(ctx context.Context) error {
	port, err := freePort(2)
	if err != nil {
		return err
	}
	i.addr = fmt.Sprintf("127.0.0.1:%d", port)
	answered := make(chan error, 1)
	go func() { answered <- bench.WaitReady(ctx, i.addr, 90*time.Second) }()
	args := append([]string{"start", i.o.KafkaDir, filepath.Join(i.dir, "data"), strconv.Itoa(port), deleteDelay}, i.peer.Args...)
	var at unix.Timespec
	done := make(chan error, 1)
	cmd := exec.Command(i.o.KafkaScript, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &i.log
	go func() { done <- cmd.Run() }()
	// The first answer counts, not the script's last look.
	err = <-answered
	clock := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at)
	if err := errors.Join(<-done, clock); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(i.log.String()))
	}
	if err != nil {
		return err
	}
	if i.pid, err = strconv.Atoi(strings.TrimSpace(out.String())); err != nil {
		return fmt.Errorf("the script printed no pid: %w", err)
	}
	began, err := startedAt(i.pid)
	if err != nil {
		return err
	}
	i.ready = time.Duration(at.Nano()) - began
	return nil
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
	case i.peer.Kafka:
		var out []byte
		if out, err = exec.Command(i.o.KafkaScript, "stop", strconv.Itoa(i.pid)).CombinedOutput(); err != nil {
			err = fmt.Errorf("stopping %s: %w: %s", i.peer.Name, err, out)
		}
	default:
		err = i.cmd.Process.Signal(syscall.SIGTERM)
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

// freePort finds n free ports in a row on loopback.
func freePort(n int) (int, error) {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		held := []net.Listener{l}
		for k := 1; k < n; k++ {
			if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+k)); err == nil {
				held = append(held, l)
			}
		}
		for _, l := range held {
			if err := l.Close(); err != nil {
				return 0, err
			}
		}
		if len(held) == n {
			return port, nil
		}
	}
	return 0, errors.New("no free ports in a row on 127.0.0.1")
}

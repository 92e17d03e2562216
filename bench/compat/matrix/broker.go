package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startBroker starts bin/chronik on a data directory and a port of its own.
func (m *matrix) startBroker() (stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.bootstrap = l.Addr().String()
	dir, err := os.MkdirTemp(m.work, "data-")
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(m.work, "broker.log"))
	if err != nil {
		return nil, err
	}
	c := exec.Command(filepath.Join(m.here, "../../../bin/chronik"), "serve", "--data-dir", dir, "--listeners", "PLAINTEXT://"+m.bootstrap,
		"--admin-listen", "127.0.0.1:0", "-c", "group.initial.rebalance.delay.ms=0", "-c", "auto.create.topics.enable=false")
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start bin/chronik (make build): %w", err)
	}
	stop = func() error {
		err := c.Process.Signal(syscall.SIGTERM)
		return errors.Join(err, c.Wait(), log.Close(), os.RemoveAll(dir))
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.bootstrap))
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	defer cl.Close()
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := cl.Ping(ctx)
		cancel()
		if err == nil {
			return stop, nil
		}
		if try == 100 {
			return nil, errors.Join(fmt.Errorf("the broker did not answer: %w (its log: %s)", err, log.Name()), stop())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

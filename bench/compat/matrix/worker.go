package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A worker is a client's program, alive over many commands.
type worker struct {
	command []string
	log     *os.File

	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

// record is one that a client read, keys and values as the program wrote them.
type record struct {
	offset, time int64
	key, value   string
}

// answer is what a command came to.
type answer struct {
	acked   []int64
	records []record
}

func (w *worker) start() error {
	w.cmd = exec.Command(w.command[0], w.command[1:]...)
	w.cmd.Stderr = w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := w.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	w.in, w.lines = in, make(chan string, 4096)
	go func(lines chan<- string) {
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			lines <- scan.Text()
		}
		close(lines)
	}(w.lines)
	return w.cmd.Start()
}

// stop ends the program, however it is.
func (w *worker) stop() {
	if w.cmd == nil {
		return
	}
	_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	for range w.lines {
	}
	_ = w.cmd.Wait() // killed
	w.cmd = nil
}

// do carries out one command; one that takes too long costs the program its life.
func (w *worker) do(limit time.Duration, command ...any) (answer, error) {
	var a answer
	if w.cmd == nil {
		if err := w.start(); err != nil {
			return a, err
		}
	}
	if _, err := fmt.Fprintln(w.in, command...); err != nil {
		w.stop()
		return a, err
	}
	timeout := time.After(limit)
	for {
		select {
		case text, ok := <-w.lines:
			if !ok {
				w.stop()
				return a, errors.New("the client's program ended")
			}
			done, err := a.take(text)
			if done || err != nil {
				return a, err
			}
		case <-timeout:
			w.stop()
			return a, fmt.Errorf("not done within %v: %d acknowledged, %d read", limit, len(a.acked), len(a.records))
		}
	}
}

// take takes one line of an answer.
func (a *answer) take(text string) (done bool, err error) {
	f := strings.Split(text, "\t")
	switch {
	case f[0] == "end":
		return true, nil
	case f[0] == "error" && len(f) == 2:
		return true, errors.New(f[1])
	case f[0] == "acked" && len(f) == 2:
		offset, err := strconv.ParseInt(f[1], 10, 64)
		a.acked = append(a.acked, offset)
		return false, err
	case f[0] == "record" && len(f) == 5:
		offset, err1 := strconv.ParseInt(f[1], 10, 64)
		at, err2 := strconv.ParseInt(f[2], 10, 64)
		a.records = append(a.records, record{offset, at, f[3], f[4]})
		return false, errors.Join(err1, err2)
	}
	return false, fmt.Errorf("the client's program said %q", text)
}

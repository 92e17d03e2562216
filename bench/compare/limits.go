package compare

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chronik-stream/chronik/bench"
)

// Limits are what disk and loopback could do during the run.
type Limits struct {
	// Sync is the time to overwrite 4 KiB of a filled file and fdatasync it.
	Sync bench.Percentiles `json:"sync"`
	// Echo is the time for 1 KiB to a process and 64 B back over loopback.
	Echo bench.Percentiles `json:"echo"`
	// SyncedMBs is the rate of writing 1 MiB at a time into a new file with a
	// fdatasync after each; OverwriteMBs the same over a filled file.
	SyncedMBs, OverwriteMBs float64
}

const (
	syncSamples = 2000
	syncBudget  = 1500 * time.Millisecond
)

// measureLimits uses the disk that holds dir; rates are over rateBytes.
func measureLimits(dir string, rateBytes int64) (*Limits, error) {
	l := &Limits{}
	name := filepath.Join(dir, "limits")
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	err = l.disk(f, rateBytes)
	if err = errors.Join(err, f.Close(), os.Remove(name)); err != nil {
		return nil, fmt.Errorf("measuring the disk: %w", err)
	}
	if err := l.loopback(); err != nil {
		return nil, fmt.Errorf("measuring loopback: %w", err)
	}
	return l, nil
}

func (l *Limits) disk(f *os.File, rateBytes int64) error {
	chunk := make([]byte, 1<<20)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	rate := func() (float64, error) {
		began := time.Now()
		for off := int64(0); off < rateBytes; off += int64(len(chunk)) {
			if _, err := f.WriteAt(chunk, off); err != nil {
				return 0, err
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				return 0, err
			}
		}
		return float64(rateBytes) / time.Since(began).Seconds() / 1e6, nil
	}
	var err error
	if l.SyncedMBs, err = rate(); err != nil {
		return err
	}
	if l.OverwriteMBs, err = rate(); err != nil {
		return err
	}
	h := bench.NewLatency()
	end := time.Now().Add(syncBudget)
	for n := int64(0); n < syncSamples && time.Now().Before(end); n++ {
		began := time.Now()
		if _, err := f.WriteAt(chunk[:4096], n*4096); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		h.Record(time.Since(began))
	}
	l.Sync = h.Percentiles()
	return nil
}

// loopback echoes in one process with Go's net package, as the load's client
// does; a broker in another process adds its wake-up.
func (l *Limits) loopback() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	failed := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			failed <- err
			return
		}
		defer c.Close()
		in := make([]byte, 1024)
		for {
			if _, err := io.ReadFull(c, in); err != nil {
				failed <- nil // the client is done
				return
			}
			if _, err := c.Write(in[:64]); err != nil {
				failed <- err
				return
			}
		}
	}()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	out := make([]byte, 1024)
	h := bench.NewLatency()
	end := time.Now().Add(500 * time.Millisecond)
	for n := 0; time.Now().Before(end); n++ {
		began := time.Now()
		if _, err = c.Write(out); err != nil {
			break
		}
		if _, err = io.ReadFull(c, out[:64]); err != nil {
			break
		}
		if n >= 100 {
			h.Record(time.Since(began))
		}
	}
	err = errors.Join(err, c.Close(), <-failed)
	l.Echo = h.Percentiles()
	return err
}

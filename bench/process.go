package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Usage is what a process has used so far, from /proc.
type Usage struct {
	CPU     time.Duration // user and system
	RSS     int64         // bytes resident
	RSSAnon int64         // of these, not file pages
	PeakRSS int64
	Threads int
	OpenFDs int
	ReadAt  time.Time
}

// clockTick is USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// ProcessUsage reads the usage of a process by its pid.
func ProcessUsage(pid int) (Usage, error) {
	u := Usage{ReadAt: time.Now()}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("reading the usage of process %d: %w", pid, err)
	}
	// The name may hold spaces; the fields begin after its closing bracket.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return u, fmt.Errorf("reading the usage of process %d: /proc/%d/stat has %d fields", pid, pid, len(fields))
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return u, fmt.Errorf("reading the usage of process %d: odd times in /proc/%d/stat", pid, pid)
	}
	u.CPU = time.Duration(user+system) * clockTick
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("reading the usage of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(status) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			continue
		}
		switch string(f[0]) {
		case "VmRSS:":
			u.RSS = n << 10
		case "RssAnon:":
			u.RSSAnon = n << 10
		case "VmHWM:":
			u.PeakRSS = n << 10
		case "Threads:":
			u.Threads = int(n)
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, fmt.Errorf("counting the descriptors of process %d: %w", pid, err)
	}
	u.OpenFDs = len(fds)
	return u, nil
}

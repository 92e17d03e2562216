package compare

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine says where the figures come from.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	FS     string `json:"fs"`
	Go     string `json:"go"`
	Java   string `json:"java"`
	Commit string `json:"commit"`
	Date   string `json:"date"`
	// Others is the share of the machine's CPU time that processes other than
	// brokers and client used during the run: the noise.
	Others float64 `json:"others"`
}

func readMachine(dir, chronik string) Machine {
	m := Machine{CPU: "unknown CPU", Cores: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly), FS: "?"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				m.CPU = strings.TrimLeft(strings.TrimSpace(name), ": \t")
				break
			}
		}
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		m.Kernel = "Linux " + unix.ByteSliceToString(uts.Release[:])
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil {
		m.FS = map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs"}[int64(fs.Type)]
	}
	if out, err := exec.Command("java", "-version").CombinedOutput(); err == nil {
		first, _, _ := strings.Cut(string(out), "\n")
		m.Java = strings.TrimSpace(first)
	}
	// The binary says what it was built from; the tree may be further on.
	if out, err := exec.Command(chronik, "version").Output(); err == nil {
		if f := strings.Fields(string(out)); len(f) > 1 {
			m.Commit = f[1]
		}
	}
	return m
}

// cpuTimes is all CPU time spent since boot, and that of which nothing was idle.
func cpuTimes() (all, busy time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	for i, f := range bytes.Fields(line) {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if i == 0 || i > 8 || err != nil { // beyond 8: guests, counted before
			continue
		}
		all += time.Duration(n) * 10 * time.Millisecond
		if i != 4 && i != 5 { // idle, iowait
			busy += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return all, busy
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

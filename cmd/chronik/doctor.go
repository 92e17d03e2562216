package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sys/unix"
)

func newDoctorCommand() *cobra.Command {
	f := &clientFlags{}
	var dir, admin string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at a machine and a broker as clients will meet them", Args: cobra.NoArgs,
		Long: `Prints what decides how a broker does here: the file system of its data directory
and how long a sync takes, open files and memory, clock, and, when one answers at
--brokers, the addresses that it gives to clients and whether they can be dialed, and
what an acknowledgement means there (from --admin).

Ends with 1 when something is wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed("admin")
			if _, port, err := net.SplitHostPort(admin); admin != "off" && (err != nil || port == "") {
				return fmt.Errorf("--admin %q is not HOST:PORT or off", admin)
			}
			d := &doctor{w: tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)}
			d.limits()
			d.clock()
			if dir != "" {
				d.disk(dir)
			}
			d.broker(cmd.Context(), f)
			if admin != "off" {
				d.mode(cmd.Context(), admin, given)
			}
			if err := d.w.Flush(); err != nil {
				return fmt.Errorf("print the findings: %w", err)
			}
			return errors.Join(d.bad...)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:9644", "the broker's --admin-listen, which knows what an acknowledgement means there; off for none")
	cmd.Flags().StringVar(&dir, "data-dir", "", "measure this directory's disk (writes and removes one file of 4 KiB)")
	return cmd
}

// doctor collects findings.
type doctor struct {
	w       *tabwriter.Writer
	bad     []error
	cluster string // the id that the broker at --brokers tells; "" when none answers
}

func (d *doctor) say(what, format string, args ...any) {
	fmt.Fprintf(d.w, "%s\t%s\n", what, fmt.Sprintf(format, args...))
}

func (d *doctor) wrong(what string, err error) {
	d.say(what, "WRONG: %v", err)
	d.bad = append(d.bad, fmt.Errorf("%s: %w", what, err))
}

// wantFiles is what a broker with a few thousand partitions and connections uses.
const wantFiles = 65536

func (d *doctor) limits() {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		d.wrong("open files", err)
	} else if files.Max < wantFiles {
		d.say("open files", "%d at most; raise it to %d (LimitNOFILE=, ulimit -n)", files.Max, wantFiles)
	} else {
		d.say("open files", "%d", files.Max)
	}
	var mem unix.Sysinfo_t
	if err := unix.Sysinfo(&mem); err != nil {
		d.wrong("memory", err)
		return
	}
	d.say("memory", "%d MiB", uint64(mem.Totalram)*uint64(mem.Unit)>>20)
}

func (d *doctor) clock() {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	now := time.Now().UTC().Format(time.RFC3339)
	switch {
	case err != nil:
		d.say("clock", "%s; whether it is kept in time cannot be seen (%v)", now, err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		d.say("clock", "%s; nothing keeps it in time (run chrony or ntpd)", now)
	default:
		d.say("clock", "%s, in time within %d ms", now, t.Maxerror/1000)
	}
}

// fileSystems are the magic numbers that statfs gives (linux/magic.h).
var fileSystems = map[int64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs", 0x794c7630: "overlayfs",
	0x6969: "nfs", 0x2fc12fc1: "zfs", 0xf2f52010: "f2fs", 0xff534d42: "cifs", 0x65735546: "fuse",
}

func (d *doctor) disk(dir string) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		d.wrong("file system", err)
		return
	}
	name := fileSystems[int64(fs.Type)]
	if name == "" {
		name = fmt.Sprintf("type %#x", fs.Type)
	}
	d.say("file system", "%s, %d MiB free", name, fs.Bavail*uint64(fs.Bsize)>>20)
	switch name {
	case "tmpfs":
		d.wrong("file system", errors.New("tmpfs forgets everything when the machine stops"))
	case "nfs", "cifs", "fuse":
		d.say("", "a sync here promises what the server behind it promises")
	}
	took, err := syncTimes(dir, 50)
	if err != nil {
		d.wrong("sync", err)
		return
	}
	d.say("sync", "4 KiB in %v (median), %v (99 of 100): an acknowledgement waits about as long", took[len(took)/2], took[len(took)*99/100])
}

// syncTimes writes and syncs so many pages, and gives the times in order.
func syncTimes(dir string, n int) (took []time.Duration, err error) {
	path := filepath.Join(dir, ".chronik-doctor")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	page := make([]byte, 4096)
	for range n {
		began := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			return nil, fmt.Errorf("measure the disk: %w", err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, fmt.Errorf("measure the disk: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took, nil
}

// broker looks at what clients are told, and whether it leads anywhere.
func (d *doctor) broker(ctx context.Context, f *clientFlags) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := f.admin(func(adm *kadm.Client) error {
		meta, err := adm.BrokerMetadata(ctx)
		if err != nil {
			return fmt.Errorf("%s does not answer: %w", f.brokers, err)
		}
		d.cluster = meta.Cluster
		d.say("cluster", "%s, controller %d", meta.Cluster, meta.Controller)
		var dialer net.Dialer
		for _, b := range meta.Brokers {
			addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
			conn, err := dialer.DialContext(ctx, "tcp", addr)
			if err != nil {
				d.wrong(fmt.Sprintf("broker %d", b.NodeID), fmt.Errorf("clients are sent to %s (advertised.listeners), which cannot be reached: %w", addr, err))
				continue
			}
			d.say(fmt.Sprintf("broker %d", b.NodeID), "clients are sent to %s, which can be reached from here", addr)
			if err := conn.Close(); err != nil {
				return fmt.Errorf("close the connection to %s: %w", addr, err)
			}
		}
		return d.durability(ctx, adm, meta)
	})
	if err != nil {
		d.wrong("broker", err)
	}
}

// mode is what an acknowledgement means, as the broker's admin server has it. It
// may be off, closed to strangers, or another broker's at the usual address: that
// is nothing wrong unless the address was given.
func (d *doctor) mode(ctx context.Context, addr string, given bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	told, err := func() (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/broker", nil)
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return "", errors.New(resp.Status)
		}
		var view struct {
			Durability, Version string
			ClusterID           string `json:"cluster_id"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&view); err != nil {
			return "", err
		}
		if d.cluster != "" && view.ClusterID != d.cluster {
			return "", fmt.Errorf("%s is of another broker, of cluster %q", addr, view.ClusterID)
		}
		return fmt.Sprintf("%s (version %s, by %s)", view.Durability, view.Version, addr), nil
	}()
	switch {
	case err != nil && given:
		d.wrong("an ack means", fmt.Errorf("--admin: %w", err))
		return
	case err != nil:
		told = fmt.Sprintf("not seen: %v (--admin)", err)
	}
	d.say("an ack means", "%s", told)
}

// asked are the keys that decide what a broker promises and takes.
var asked = []string{"message.max.bytes", "min.insync.replicas", "auto.create.topics.enable", "log.retention.ms", "log.retention.hours", "log.flush.interval.messages"}

func (d *doctor) durability(ctx context.Context, adm *kadm.Client, meta kadm.Metadata) error {
	for _, b := range meta.Brokers {
		configs, err := adm.DescribeBrokerConfigs(ctx, b.NodeID)
		if err != nil {
			return fmt.Errorf("configurations of broker %d: %w", b.NodeID, err)
		}
		for _, r := range configs {
			for _, c := range r.Configs {
				if slices.Contains(asked, c.Key) {
					d.say(c.Key, "%s", c.MaybeValue())
				}
			}
		}
	}
	return nil
}

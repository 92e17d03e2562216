package attack

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	sasl "github.com/twmb/franz-go/pkg/sasl/scram"
)

// The flood: connections in all, opened at a rate, each held until the broker
// ends it or the flood is over.
const (
	floodConnections = 10_000
	floodRate        = 500
	floodTime        = 25 * time.Second
)

// flood is the attacker's process: spec is how it attacks and where,
// kind=address,kind=address…, in turn.
//
//	silent   connects and says nothing
//	slow     sends the head of a frame, a byte each second
//	hello    begins a TLS handshake and leaves it there
//	guess    logs in by PLAIN with a wrong password
func flood(spec string) int {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	end := time.Now().Add(floodTime)
	targets := strings.Split(spec, ",")
	tick := time.NewTicker(time.Second / floodRate)
	defer tick.Stop()
	failed := 0
	for i := range floodConnections {
		<-tick.C
		if time.Now().After(end) {
			break
		}
		kind, addr, _ := strings.Cut(targets[i%len(targets)], "=")
		d := &net.Dialer{Timeout: 2 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 200, byte(i>>8), byte(i))}}
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			failed++
			continue
		}
		go harass(conn, kind, end)
	}
	<-time.After(time.Until(end))
	fmt.Println("flood:", failed, "connections were not taken")
	return 0
}

func harass(conn net.Conn, kind string, end time.Time) {
	defer conn.Close()
	_ = conn.SetDeadline(end) // the broker may have closed it already
	b := make([]byte, 256)
	switch kind {
	case "slow":
		for _, one := range []byte{0, 0, 0x40, 0, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} {
			if _, err := conn.Write([]byte{one}); err != nil {
				return
			}
			<-time.After(time.Second)
		}
	case "hello":
		if _, err := conn.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}); err != nil {
			return
		}
	case "guess":
		w := &wire{conn: conn}
		if _, err := w.handshake(1, "PLAIN"); err != nil {
			return
		}
		if _, err := w.token([]byte("\x00admin\x00guessed-at-random")); err != nil {
			return
		}
	}
	for {
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}

// TestFlood measures a producer that has logged in, alone and beside the flood,
// in turn, and logs new clients in meanwhile.
func TestFlood(t *testing.T) {
	if os.Getenv("ATTACK_SHORT") != "" {
		t.Skip("ATTACK_SHORT leaves the flood out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	client := func(listener string) *kgo.Client {
		opts := []kgo.Opt{kgo.SeedBrokers(victim.addrs[listener]), kgo.DefaultProduceTopic("flooded"), kgo.ProducerLinger(0),
			kgo.SASL(sasl.Auth{User: "admin", Pass: adminPassword}.AsSha512Mechanism()), kgo.RequestRetries(0)}
		if listener == "TLS" {
			opts = append(opts, kgo.DialTLSConfig(trusting()))
		}
		c, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	producer := client("SASL")
	defer producer.Close()
	if _, err := kadm.NewClient(producer).CreateTopic(ctx, 1, 1, nil, "flooded"); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 1024)
	measure := func(d time.Duration) time.Duration {
		var took []time.Duration
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end); {
			<-tick.C
			began := time.Now()
			if err := producer.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	for name, spec := range map[string][]string{
		"silent and slow": {"silent=SASL", "slow=SASL", "silent=SCRAMONLY", "silent=TLS"},
		"TLS":             {"hello=TLS", "silent=TLS", "hello=MTLS"},
		"guesses":         {"guess=SASL"},
	} {
		t.Run(name, func(t *testing.T) {
			var targets []string
			for _, one := range spec {
				kind, listener, _ := strings.Cut(one, "=")
				targets = append(targets, kind+"="+victim.addrs[listener])
			}
			measure(time.Second)
			quiet := measure(6 * time.Second)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "ATTACK_FLOOD="+strings.Join(targets, ","))
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			type entry struct {
				listener string
				took     time.Duration
				err      error
			}
			entries := make(chan []entry)
			stop := make(chan struct{})
			go func() {
				var all []entry
				defer func() { entries <- all }()
				for {
					for _, listener := range []string{"SASL", "TLS"} {
						began := time.Now()
						c := client(listener)
						one, cancel := context.WithTimeout(ctx, 10*time.Second)
						err := c.Ping(one)
						cancel()
						c.Close()
						all = append(all, entry{listener, time.Since(began), err})
					}
					select {
					case <-stop:
						return
					case <-time.After(time.Second):
					}
				}
			}()
			flooded := measure(floodTime - 3*time.Second)
			most := rss(t)
			close(stop)
			for _, e := range <-entries {
				if e.err != nil || e.took > 5*time.Second {
					t.Errorf("a new client on %s: %v after %v", e.listener, e.err, e.took.Round(time.Millisecond))
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the flood: %v\n%s", err, out.String())
			}
			after := measure(6 * time.Second)
			reference := max(quiet, after)
			t.Logf("p99 %v quiet, %v beside the flood, %v after it; the broker holds %d MiB; %s", quiet, flooded, after, most>>20, strings.TrimSpace(out.String()))
			if flooded > 2*reference {
				t.Errorf("the producer's p99 went from %v to %v", reference, flooded)
			}
			if most > 200<<20 {
				t.Errorf("the broker holds %d MiB", most>>20)
			}
		})
	}
}

// rss is the broker's resident memory.
func rss(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", victim.pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// TestSilence: who says nothing, or too little, is gone within --auth-timeout,
// on every listener. (The default is 10 s; the flood does not wait for it.)
func TestSilence(t *testing.T) {
	for _, listener := range []string{"SASL", "TLS", "MTLS"} {
		for _, begin := range [][]byte{nil, {0}, {22, 3, 1, 2, 0, 1}} {
			t.Run(fmt.Sprintf("%s after %x", listener, begin), func(t *testing.T) {
				t.Parallel()
				w := wrapPlain(t, listener)
				if _, err := w.conn.Write(begin); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				b := make([]byte, 1)
				for {
					if _, err := w.conn.Read(b); err != nil {
						if isTimeout(err) || time.Since(began) > 12*time.Second {
							t.Errorf("open still after %v", time.Since(began))
						}
						return
					}
				}
			})
		}
	}
	t.Run("TLS and then nothing", func(t *testing.T) {
		t.Parallel()
		conn, err := tls.DialWithDialer(dialer(), "tcp", victim.addrs["TLS"], trusting())
		if err != nil {
			t.Fatal(err)
		}
		wrap(t, conn).gone("TLS and then nothing")
	})
}

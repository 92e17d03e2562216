package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A host name in listeners is what clients are told; an address is the one that
// they connected to anyway; advertised.listeners comes before both.
func TestListenersAdvertise(t *testing.T) {
	for _, test := range []struct{ listeners, advertised, dial, host, shown string }{
		{"PLAINTEXT://localhost:0", "", "localhost", "localhost", "localhost"},
		{"PLAINTEXT://127.0.0.1:0", "", "127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"PLAINTEXT://0.0.0.0:0", "", "127.0.0.1", "127.0.0.1", "0.0.0.0"},
		{"PLAINTEXT://:0", "", "127.0.0.1", "127.0.0.1", "[::]"},
		{"PLAINTEXT://localhost:0", "PLAINTEXT://kafka.example:0", "localhost", "kafka.example", "kafka.example"},
	} {
		t.Run(test.listeners+" "+test.advertised, func(t *testing.T) {
			b, err := Start(Options{DataDirs: []string{t.TempDir()}, Listeners: test.listeners, AdvertisedListeners: test.advertised})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			port := b.Addr()[strings.LastIndexByte(b.Addr(), ':')+1:]
			client, err := kgo.NewClient(kgo.SeedBrokers(test.dial+":"+port), kgo.RequestTimeoutOverhead(5*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			r, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client.SeedBrokers()[0])
			if err != nil {
				t.Fatal(err)
			}
			if r.Brokers[0].Host != test.host {
				t.Errorf("the broker is advertised at %s, want %s", r.Brokers[0].Host, test.host)
			}
			if got, want := b.static["advertised.listeners"], "PLAINTEXT://"+test.shown+":"+port; got != want {
				t.Errorf("advertised.listeners is shown as %s, want %s", got, want)
			}
		})
	}
}

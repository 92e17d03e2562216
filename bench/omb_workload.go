package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Workload is a workload file of the OpenMessaging Benchmark, with the fields of
// its class Workload. A file with any other field is refused by that name.
type Workload struct {
	Name               string `yaml:"name"`
	Topics             int    `yaml:"topics"`
	PartitionsPerTopic int32  `yaml:"partitionsPerTopic"`
	// KeyDistributor is NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO.
	KeyDistributor string `yaml:"keyDistributor"`
	MessageSize    int    `yaml:"messageSize"`
	// UseRandomizedPayloads sends from a pool of payloads of which a part is
	// random and the rest zeros; otherwise PayloadFile is sent.
	UseRandomizedPayloads     bool    `yaml:"useRandomizedPayloads"`
	RandomBytesRatio          float64 `yaml:"randomBytesRatio"`
	RandomizedPayloadPoolSize int     `yaml:"randomizedPayloadPoolSize"`
	PayloadFile               string  `yaml:"payloadFile"`
	SubscriptionsPerTopic     int     `yaml:"subscriptionsPerTopic"`
	ProducersPerTopic         int     `yaml:"producersPerTopic"`
	ConsumerPerSubscription   int     `yaml:"consumerPerSubscription"`
	// ProducerRate is records/s in all; 0 looks for the highest that the
	// consumers can follow.
	ProducerRate float64 `yaml:"producerRate"`
	// ConsumerBacklogSizeGB above 0 stops the consumers until so many GiB wait,
	// then measures while they drain, until BacklogDrainRatio of it is gone.
	ConsumerBacklogSizeGB int64   `yaml:"consumerBacklogSizeGB"`
	BacklogDrainRatio     float64 `yaml:"backlogDrainRatio"`
	TestDurationMinutes   int     `yaml:"testDurationMinutes"`
	WarmupDurationMinutes int     `yaml:"warmupDurationMinutes"`

	payloads [][]byte
}

// ombClients bounds the connections' owners of a workload: one client each.
const ombClients = 4096

// ReadWorkload reads a workload file and the payload that it names. A payload's
// path counts from the directory of the file, from the one above it (the
// benchmark's files expect its root) or from the working directory.
func ReadWorkload(name string) (*Workload, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("bench: reading a workload: %w", err)
	}
	w := &Workload{KeyDistributor: "NO_KEY", BacklogDrainRatio: 1, WarmupDurationMinutes: 1}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(w); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("bench: workload %s has what this runner cannot honour: %w", name, err)
	}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("bench: workload %s: %w", name, err)
	}
	if err := w.load(filepath.Dir(name)); err != nil {
		return nil, fmt.Errorf("bench: workload %s: %w", name, err)
	}
	return w, nil
}

func (w *Workload) check() error {
	for _, f := range []struct {
		name string
		ok   bool
		want string
	}{
		{"topics", w.Topics > 0, "at least 1"},
		{"partitionsPerTopic", w.PartitionsPerTopic > 0, "at least 1"},
		{"messageSize", w.MessageSize > 0, "at least 1"},
		{"producersPerTopic", w.ProducersPerTopic > 0, "at least 1"},
		{"subscriptionsPerTopic", w.SubscriptionsPerTopic >= 0, "0 or more"},
		{"consumerPerSubscription", w.ConsumerPerSubscription >= 0, "0 or more"},
		{"producerRate", w.ProducerRate >= 0, "0 or more"},
		{"testDurationMinutes", w.TestDurationMinutes > 0, "at least 1"},
		{"warmupDurationMinutes", w.WarmupDurationMinutes >= 0, "0 or more"},
		{"randomBytesRatio", w.RandomBytesRatio >= 0 && w.RandomBytesRatio <= 1, "from 0 to 1"},
		{"backlogDrainRatio", w.BacklogDrainRatio >= 0 && w.BacklogDrainRatio <= 1, "from 0 to 1"},
		{"randomizedPayloadPoolSize", !w.UseRandomizedPayloads || w.RandomizedPayloadPoolSize > 0, "at least 1 with useRandomizedPayloads"},
		{"payloadFile", w.UseRandomizedPayloads || w.PayloadFile != "", "named, unless useRandomizedPayloads is true"},
		{"consumerBacklogSizeGB", w.ConsumerBacklogSizeGB == 0 || (w.ConsumerBacklogSizeGB > 0 && w.ProducerRate > 0 && w.consumers() > 0),
			"0, or with consumers and a producerRate: the highest rate cannot be looked for while a backlog builds"},
		{"keyDistributor", w.KeyDistributor == "NO_KEY" || w.KeyDistributor == "KEY_ROUND_ROBIN" || w.KeyDistributor == "RANDOM_NANO",
			"NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO"},
	} {
		if !f.ok {
			return fmt.Errorf("%s must be %s", f.name, f.want)
		}
	}
	if n := w.Topics*w.ProducersPerTopic + w.consumers(); n > ombClients {
		return fmt.Errorf("topics × (producersPerTopic + subscriptionsPerTopic × consumerPerSubscription) gives %d clients; one process runs %d at the most", n, ombClients)
	}
	return nil
}

func (w *Workload) consumers() int {
	return w.Topics * w.SubscriptionsPerTopic * w.ConsumerPerSubscription
}

// load makes the payloads.
func (w *Workload) load(dir string) error {
	if w.UseRandomizedPayloads {
		rng := rand.New(rand.NewPCG(1, 1))
		random := int(float64(w.MessageSize) * w.RandomBytesRatio)
		for range w.RandomizedPayloadPoolSize {
			p := make([]byte, w.MessageSize)
			for i := range random {
				p[i] = byte(rng.Uint32())
			}
			w.payloads = append(w.payloads, p)
		}
		return nil
	}
	var text []byte
	err := error(nil)
	for _, from := range []string{dir, filepath.Dir(dir), "."} {
		name := filepath.Join(from, w.PayloadFile)
		if filepath.IsAbs(w.PayloadFile) {
			name = w.PayloadFile
		}
		if text, err = os.ReadFile(name); err == nil {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("payloadFile %s is neither beside the file nor above it: %w", w.PayloadFile, err)
	case len(text) != w.MessageSize:
		return fmt.Errorf("payloadFile %s has %d bytes and messageSize is %d; they must agree", w.PayloadFile, len(text), w.MessageSize)
	}
	w.payloads = [][]byte{text}
	return nil
}

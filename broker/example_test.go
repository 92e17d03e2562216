package broker_test

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-stream/chronik/broker"
)

// A broker in a test or in a program of one's own.
func Example() {
	dir, err := os.MkdirTemp("", "chronik-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Println(err)
		}
	}()
	b, err := broker.Start(broker.Options{DataDirs: []string{dir}, Listeners: "PLAINTEXT://127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := b.Close(); err != nil {
			fmt.Println(err)
		}
	}()

	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	r, err := client.ProduceSync(context.Background(), &kgo.Record{Topic: "greetings", Value: []byte("hello")}).First()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s is durable at offset %d\n", r.Value, r.Offset)
	// Output: hello is durable at offset 0
}

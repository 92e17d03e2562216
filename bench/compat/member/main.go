// Command member is one member of a consumer group, in one of several Go
// clients.
//
//	member CLIENT BOOTSTRAP GROUP TOPIC OUT [SECONDS]
//
// CLIENT is sarama, kafka-go, franz, franz-cooperative or franz-848. It appends
// "partition offset value" lines to OUT for every record, commits as it goes,
// and leaves the group when SECONDS have passed or on SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 5 {
		return errors.New("usage: member CLIENT BOOTSTRAP GROUP TOPIC OUT [SECONDS]")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if len(args) > 5 {
		seconds, err := strconv.ParseFloat(args[5], 64)
		if err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
		defer cancel()
	}
	out, err := os.OpenFile(args[4], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	m := member{bootstrap: args[1], group: args[2], topic: args[3], out: out}
	switch args[0] {
	case "sarama":
		return m.sarama(ctx)
	case "kafka-go":
		return m.kafkaGo(ctx)
	case "franz", "franz-cooperative", "franz-848":
		return m.franz(ctx, args[0])
	}
	return fmt.Errorf("no client is called %s", args[0])
}

type member struct {
	bootstrap, group, topic string
	out                     *os.File
}

func (m member) saw(partition int32, offset int64, value []byte) error {
	_, err := fmt.Fprintf(m.out, "%d %d %s\n", partition, offset, value)
	return err
}

func (m member) franz(ctx context.Context, kind string) error {
	opts := []kgo.Opt{kgo.SeedBrokers(m.bootstrap), kgo.ConsumerGroup(m.group), kgo.ConsumeTopics(m.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll()}
	if kind == "franz" {
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	}
	if kind == "franz-848" {
		ctx = context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true) //nolint:staticcheck // the client asks for this very key
		opts = append(opts, kgo.WithContext(context.WithoutCancel(ctx)))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil && ctx.Err() == nil {
			// A broker that restarts ends the session; the client joins again by itself.
			var session *kgo.ErrGroupSession
			if !errors.As(err, &session) {
				return err
			}
			fmt.Fprintln(os.Stderr, "session:", err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) { failed = errors.Join(failed, m.saw(r.Partition, r.Offset, r.Value)) })
		if failed != nil {
			return failed
		}
		if fetches.NumRecords() > 0 {
			// A commit that a rebalance refuses is done again by the next owner.
			if err := client.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
				fmt.Fprintln(os.Stderr, "commit:", err)
			}
		}
		client.AllowRebalance()
	}
	return nil
}

func (m member) kafkaGo(ctx context.Context) error {
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{m.bootstrap}, GroupID: m.group, Topic: m.topic,
		StartOffset: kafkago.FirstOffset, MaxWait: 200 * time.Millisecond, SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second})
	for {
		msg, err := r.FetchMessage(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return r.Close()
			}
			return errors.Join(err, r.Close())
		}
		if err := m.saw(int32(msg.Partition), msg.Offset, msg.Value); err != nil {
			return err
		}
		if err := r.CommitMessages(context.WithoutCancel(ctx), msg); err != nil {
			fmt.Fprintln(os.Stderr, "commit:", err)
		}
	}
}

func (m member) sarama(ctx context.Context) error {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	group, err := sarama.NewConsumerGroup([]string{m.bootstrap}, m.group, c)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		// A broker that restarts ends the session with an error; the next one joins again.
		if err := group.Consume(ctx, []string{m.topic}, saramaHandler{m}); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "session:", err)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return group.Close()
}

type saramaHandler struct{ member }

func (saramaHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h saramaHandler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			if err := h.saw(msg.Partition, msg.Offset, msg.Value); err != nil {
				return err
			}
			s.MarkMessage(msg, "")
			if len(claim.Messages()) == 0 {
				s.Commit()
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

package main

import (
	"context"
	"errors"

	"github.com/IBM/sarama"

	"github.com/chronik-stream/chronik/bench/compat/matrix/line"
)

func (c client) Member(topic, group string, last int64, saw func(line.Record)) error {
	member, err := sarama.NewConsumerGroup(c.bootstrap, group, c.config())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := &handler{client: c, last: last, saw: saw, done: cancel}
	for ctx.Err() == nil {
		if err := member.Consume(ctx, []string{topic}, h); err != nil && ctx.Err() == nil {
			return errors.Join(err, member.Close())
		}
	}
	return member.Close()
}

type handler struct {
	client
	last int64
	saw  func(line.Record)
	done func()
}

func (*handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.saw(h.record(m))
		s.MarkMessage(m, "")
		if m.Offset >= h.last {
			h.done()
			return nil
		}
	}
	return nil
}

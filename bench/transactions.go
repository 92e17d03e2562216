package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Transactions lets producers commit transactions of Load.Transaction records,
// one after the other; rate and latency are those of whole transactions, from
// their begin to the answer to their end.
func Transactions(ctx context.Context, t Target, l Load) (*Result, error) {
	l = l.withDefaults()
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Transaction < 1 || l.Raw || l.Rate > 0 {
		return nil, fmt.Errorf("bench: transactions have %d records; at least 1 is needed, and neither --raw nor --rate", l.Transaction)
	}
	if err := EnsureTopic(ctx, t, l.Topic, l.Partitions); err != nil {
		return nil, err
	}
	r := newRun(t, l)
	err := r.all(ctx, func(ctx context.Context, n int) error {
		client, err := t.client(kgo.DefaultProduceTopic(l.Topic), kgo.ProducerLinger(l.Linger),
			kgo.TransactionalID(fmt.Sprintf("chronik-bench-%d-%d", time.Now().UnixNano(), n)))
		if err != nil {
			return err
		}
		defer client.Close()
		w := &worker{r: r, hist: NewLatency()}
		defer w.merge()
		value := payload(rand.New(rand.NewPCG(uint64(n), 4)), l.RecordSize)
		whole := context.WithoutCancel(ctx) // the last one is finished
		for ctx.Err() == nil && r.take(1) {
			due := time.Now()
			if err := client.BeginTransaction(); err != nil {
				return fmt.Errorf("beginning a transaction: %w", err)
			}
			var failed atomic.Pointer[error]
			for range l.Transaction {
				client.Produce(whole, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Store(&err)
					}
				})
			}
			if err := commitTransaction(whole, client); err != nil {
				return err
			}
			if err := failed.Load(); err != nil {
				return fmt.Errorf("producing in a transaction: %w", *err)
			}
			w.done(due, time.Now(), 1, int64(l.Transaction*l.RecordSize), nil)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res := r.result("transactions")
	res.Load = fmt.Sprintf("kgo, %d producers, transactions of %d × %d B, %d partitions", l.Producers, l.Transaction, l.RecordSize, l.Partitions)
	return res, nil
}

package bench

import (
	"context"
	"fmt"
	"math"
	"time"
)

// measure runs warm-up, backlog and test, and sums up.
func (m *omb) measure(ctx context.Context, rate float64) (*Result, error) {
	warmup, test := time.Duration(m.w.WarmupDurationMinutes)*time.Minute, time.Duration(m.w.TestDurationMinutes)*time.Minute
	if m.o.Warmup > 0 {
		warmup = m.o.Warmup
	}
	if m.o.Test > 0 {
		test = m.o.Test
	}
	seek := newRateSeeker(rate, m.sent.Load(), m.received.Load(), time.Now())
	watch := func(now time.Time) {
		if m.w.ProducerRate == 0 && now.Sub(seek.at) >= min(3*time.Second, test/10) {
			m.setRate(seek.next(now, m.sent.Load(), m.received.Load(), m.backlog()))
		}
	}
	if err := m.until(ctx, watch, func(now time.Time) bool { return now.Sub(seek.began) >= warmup }); err != nil {
		return nil, err
	}
	var usage [2]Usage
	var err error
	if m.target.PID != 0 {
		if usage[0], err = ProcessUsage(m.target.PID); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	sent, received, receivedBytes, failed := m.sent.Load(), m.received.Load(), m.receivedBytes.Load(), m.failed.Load()
	m.from.Store(began.UnixNano())
	note := ""
	if m.w.ConsumerBacklogSizeGB > 0 {
		if note, err = m.drain(ctx); err != nil {
			return nil, err
		}
		test += time.Since(began)
	}
	if err := m.until(ctx, watch, func(now time.Time) bool { return now.Sub(began) >= test }); err != nil {
		return nil, err
	}
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from.Store(math.MaxInt64)
	r := &Result{Tool: "omb", Target: m.target.Bootstrap, AckRule: m.target.AckRule, Records: m.sent.Load() - sent, Errors: m.failed.Load() - failed,
		Hist: m.pub, Bytes: (m.sent.Load() - sent) * int64(m.w.MessageSize)}
	r.Load = fmt.Sprintf("%s: %d topics × %d partitions, %d B, %d producers and %d × %d consumers a topic, keys %s", m.w.Name, m.w.Topics, m.w.PartitionsPerTopic,
		m.w.MessageSize, m.w.ProducersPerTopic, m.w.SubscriptionsPerTopic, m.w.ConsumerPerSubscription, m.w.KeyDistributor)
	if m.w.ProducerRate > 0 {
		r.Load += fmt.Sprintf(", %.0f records/s", m.w.ProducerRate)
	} else {
		r.Load += fmt.Sprintf(", highest rate that is followed: %.0f records/s at the end", seek.rate)
	}
	r.Load += fmt.Sprintf("; consumed %.0f records/s, %.1f MB/s, backlog at the end %d%s", float64(m.received.Load()-received)/took.Seconds(),
		float64(m.receivedBytes.Load()-receivedBytes)/took.Seconds()/1e6, max(0, m.backlog()), note)
	if m.e2e.Count() > 0 {
		r.E2EHist = m.e2e
	}
	if m.firstError != nil {
		r.FirstError = m.firstError.Error()
	}
	if m.target.PID != 0 {
		if usage[1], err = ProcessUsage(m.target.PID); err != nil {
			return nil, err
		}
		r.Broker = brokerUsage(usage[0], usage[1], r.Records)
	}
	r.finish(took)
	return r, nil
}

// until waits for an end, looks after the rate and shows what goes on.
func (m *omb) until(ctx context.Context, watch func(time.Time), end func(time.Time) bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	began, shown, last := time.Now(), time.Now(), m.sent.Load()
	for now := time.Now(); !end(now); {
		select {
		case now = <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		watch(now)
		if m.target.Live != nil && now.Sub(shown) >= time.Second {
			n := m.sent.Load()
			m.mu.Lock()
			p := m.pub.Percentiles()
			m.mu.Unlock()
			m.target.Live(Progress{Elapsed: now.Sub(began), Records: n, Bytes: n * int64(m.w.MessageSize), Errors: m.failed.Load(),
				Rate: float64(n-last) / now.Sub(shown).Seconds(), MBPerSec: float64((n-last)*int64(m.w.MessageSize)) / now.Sub(shown).Seconds() / 1e6, Latency: p})
			shown, last = now, n
		}
	}
	return nil
}

// drain builds the backlog with the consumers paused, lets them go and waits
// until the workload's share of it is gone, while the producers go on.
func (m *omb) drain(ctx context.Context) (string, error) {
	idle := func(time.Time) {}
	for _, c := range m.consumers {
		c.PauseFetchTopics(m.topics...)
	}
	began := time.Now()
	records := m.w.ConsumerBacklogSizeGB << 30 / int64(m.w.MessageSize)
	if err := m.until(ctx, idle, func(time.Time) bool { return m.backlog() >= records }); err != nil {
		return "", err
	}
	built := time.Since(began)
	for _, c := range m.consumers {
		c.ResumeFetchTopics(m.topics...)
	}
	began = time.Now()
	rest := max(1000, int64((1-m.w.BacklogDrainRatio)*float64(records)))
	if err := m.until(ctx, idle, func(time.Time) bool { return m.backlog() <= rest }); err != nil {
		return "", err
	}
	return fmt.Sprintf("; backlog of %d GiB built in %.1f s, drained in %.1f s", m.w.ConsumerBacklogSizeGB, built.Seconds(), time.Since(began).Seconds()), nil
}

// rateSeeker looks for the highest rate that producers and consumers can hold:
// it doubles while both do, and falls back below what they held when they do
// not; each such fall halves the steps.
type rateSeeker struct {
	rate, step     float64
	sent, received int64
	began, at      time.Time
}

func newRateSeeker(rate float64, sent, received int64, now time.Time) *rateSeeker {
	return &rateSeeker{rate: rate, step: 1, sent: sent, received: received, began: now, at: now}
}

// next is told the counters and gives the rate to go on with.
func (s *rateSeeker) next(now time.Time, sent, received, backlog int64) float64 {
	period := now.Sub(s.at).Seconds()
	published, consumed := float64(sent-s.sent)/period, float64(received-s.received)/period
	s.at, s.sent, s.received = now, sent, received
	held := published
	if backlog > 0 {
		held = min(published, consumed)
	}
	switch {
	case published < 0.95*s.rate || float64(backlog) > s.rate: // a second behind
		s.step = max(s.step/2, 0.02)
		s.rate = max(0.95*held, 100)
	default:
		s.rate *= 1 + s.step
	}
	return s.rate
}

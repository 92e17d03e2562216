package compare

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chronik-stream/chronik/bench"
)

// measurement is a comparison under way. It belongs to one goroutine.
type measurement struct {
	o       *Options
	rep     *Report
	began   time.Time
	running []*instance
	lost    map[string]string        // peers that do not run, and why
	took    map[string]time.Duration // what a cell's last round took
	used    time.Duration            // CPU of brokers that have ended
}

// spent tells whether a piece of work of about this length would end too late.
func (m *measurement) spent(ctx context.Context, work time.Duration) bool {
	if ctx.Err() != nil {
		return true
	}
	if m.o.Limit > 0 && time.Since(m.began)+work > m.o.Limit {
		m.rep.Ended = fmt.Sprintf("its limit of %s was reached", m.o.Limit)
		return true
	}
	return false
}

// starts measures starts, when that cell is wanted, and leaves every peer
// running that does start.
func (m *measurement) starts(ctx context.Context, picked []cell) {
	c := cells()[0]
	out := newOutcome(c)
	counted := slices.ContainsFunc(picked, func(p cell) bool { return p.key == c.key })
	for _, p := range m.rep.Peers {
		n := 1
		if counted && !p.Slow {
			n = m.o.Runs
		}
		for k := range n {
			if m.spent(ctx, 0) {
				m.lost[p.Key] = "not started: the time was over"
				break
			}
			m.o.Progress(fmt.Sprintf("start %d of %s", k+1, p.Name))
			i, s, err := m.startIdle(ctx, p)
			if err == nil {
				out.samples[p.Key] = append(out.samples[p.Key], s)
				if k == n-1 {
					m.running = append(m.running, i)
				} else {
					err = i.stop()
				}
			}
			if err != nil {
				m.lost[p.Key] = err.Error()
				out.failures[p.Key] = append(out.failures[p.Key], err.Error())
				m.o.Progress(fmt.Sprintf("%s: %v", p.Name, err))
				break
			}
		}
	}
	if counted {
		m.rep.Cells = append(m.rep.Cells, out)
	}
}

// startIdle starts a peer and reads what it uses when it has come to rest.
func (m *measurement) startIdle(ctx context.Context, p Peer) (*instance, sample, error) {
	i, err := m.o.start(ctx, p)
	if err != nil && ctx.Err() == nil { // somebody may have taken its port
		m.o.Progress(fmt.Sprintf("%s, once more after: %v", p.Name, err))
		i, err = m.o.start(ctx, p)
	}
	if err != nil {
		return nil, sample{}, err
	}
	select { // what a start leaves to do is not part of being idle
	case <-time.After(500 * time.Millisecond):
	case <-ctx.Done():
	}
	u, err := bench.ProcessUsage(i.pid)
	return i, sample{values: map[string]float64{"ready": float64(i.ready.Microseconds()) / 1000, "rss": float64(u.RSS) / 1e6}}, err
}

func newOutcome(c cell) *Outcome {
	return &Outcome{Key: c.key, Title: c.title, columns: c.columns, meets: c.meets, samples: map[string][]sample{}, failures: map[string][]string{}}
}

// outcomesOf are a cell's tables, one for each of its parts.
func outcomesOf(c cell) []*Outcome {
	outs := make([]*Outcome, max(1, len(c.parts)))
	for n := range outs {
		outs[n] = newOutcome(c)
		if len(c.parts) > 0 {
			outs[n].Key, outs[n].Title = fmt.Sprintf("%s-%d", c.key, n+1), c.title+": "+c.parts[n]
		}
	}
	return outs
}

// rounds runs every cell once, then every cell again: a comparison that ends
// early has all its cells, each with fewer runs. Within a cell the order of the
// peers turns with the round.
func (m *measurement) rounds(ctx context.Context, picked []cell) {
	outs := map[string][]*Outcome{}
	for _, c := range picked {
		if c.run != nil {
			outs[c.key] = outcomesOf(c)
			m.rep.Cells = append(m.rep.Cells, outs[c.key]...)
		}
	}
	for round := range m.o.Runs {
		for _, c := range picked {
			most := m.o.Runs
			if c.rounds > 0 {
				most = min(most, c.rounds)
			}
			if c.rounds > 0 && m.o.Short {
				most = 1
			}
			if c.run == nil || round >= most || m.spent(ctx, m.took[c.key]) {
				continue
			}
			began := time.Now()
			order := slices.Clone(m.running)
			for k := range order {
				i := order[(k+round)%len(order)]
				if c.meets(i.peer.Key) && ctx.Err() == nil && len(outs[c.key][0].failures[i.peer.Key]) < 2 {
					m.o.Progress(fmt.Sprintf("%s, round %d of %d, %s", c.key, round+1, most, i.peer.Name))
					m.once(ctx, c, round, i, outs[c.key])
				}
			}
			m.took[c.key] = time.Since(began)
		}
	}
	for key, why := range m.lost {
		for _, out := range m.rep.Cells {
			if out.meets(key) && len(out.samples[key])+len(out.failures[key]) == 0 {
				out.failures[key] = []string{why}
			}
		}
	}
}

// once runs a cell for one peer. A broker that has died of it is started anew.
func (m *measurement) once(ctx context.Context, c cell, round int, i *instance, outs []*Outcome) {
	samples, err := i.measure(ctx, c, round)
	if ctx.Err() != nil {
		return // a run cut short says nothing
	}
	if err == nil {
		for n, s := range samples {
			outs[n].samples[i.peer.Key] = append(outs[n].samples[i.peer.Key], s)
		}
		return
	}
	m.o.Progress(fmt.Sprintf("%s, %s: %v", c.key, i.peer.Name, err))
	if !i.alive() {
		err = fmt.Errorf("the broker ended: %w", err)
		m.again(ctx, i)
	}
	for _, out := range outs {
		out.failures[i.peer.Key] = append(out.failures[i.peer.Key], err.Error())
	}
}

// again replaces a broker that has died by a new one; a peer that does not
// start is out of the comparison.
func (m *measurement) again(ctx context.Context, i *instance) {
	m.o.Progress(i.peer.Name + " has ended and is started anew")
	ended := i.stop()
	fresh, err := m.o.start(ctx, i.peer)
	at := slices.Index(m.running, i)
	if err == nil {
		m.running[at] = fresh
		return
	}
	m.lost[i.peer.Key] = fmt.Sprintf("it ended (%v) and could not be started anew: %v", ended, err)
	m.o.Progress(i.peer.Name + ": " + m.lost[i.peer.Key])
	m.running = slices.Delete(m.running, at, at+1)
}

// measure runs a cell once on a topic of its own, after what earlier runs have
// left in the page cache was written.
func (i *instance) measure(ctx context.Context, c cell, round int) ([]sample, error) {
	// A run that takes ten times its time is ended, not waited for.
	ctx, cancel := context.WithTimeout(ctx, 10*i.o.Duration+time.Minute+c.extra)
	defer cancel()
	if c.prepare != nil && !i.prepared[c.key] {
		if err := c.prepare(ctx, i.o, i.target()); err != nil {
			return nil, fmt.Errorf("preparing: %w", err)
		}
		i.prepared[c.key] = true
	}
	if err := syncDisk(i.o.Work); err != nil {
		return nil, err
	}
	topic := fmt.Sprintf("%s-%d", c.key, round)
	samples, err := c.run(ctx, i, topic)
	if !c.topicless && ctx.Err() == nil {
		// Also after a failure: what it left must not weigh on the next run.
		if e := drop(ctx, i.target(), topic); err == nil {
			err = e
		}
	}
	return samples, err
}

package netloop

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// slot is the place of one request in the order of answers. The ring of slots
// is the outbound queue as well: answers wait in it, in order, until they are
// sent.
type slot struct {
	state    uint8
	cost     int64 // bytes of the budget that the request holds
	received time.Time
	resp     *Response
	why      error
}

const (
	slotWaiting uint8 = iota // the handler has it
	slotReady                // resp is to be sent
	slotSkipped              // nothing is to be sent
	slotFailed               // the connection closes here
)

// keepSlots is how large a ring may be that is kept for the object's next life.
const keepSlots = 64

func (c *conn) ID() uint64                 { return c.id }
func (c *conn) Loop() *Loop                { return c.loop }
func (c *conn) Listener() string           { return c.ln.name }
func (c *conn) RemoteAddr() netip.AddrPort { return c.remote }
func (c *conn) LocalAddr() netip.AddrPort  { return c.local }
func (c *conn) TLS() *tls.ConnectionState  { return c.tlsState }
func (c *conn) Session() any               { return c.session }
func (c *conn) SetSession(s any)           { c.session = s }
func (c *conn) SetRaw(on bool)             { c.raw = on }

func (c *conn) SetMaxInFlight(n int) {
	c.maxInFlight = max(n, 1)
	c.loop.touch(c)
}

func (c *conn) SetFrameLimit(n int) {
	c.frameLimit = n
	c.loop.touch(c)
}

func (c *conn) Mute(until time.Time) {
	if c.closed || !until.After(c.loop.now) || c.muted && !until.After(c.mutedTill) {
		return
	}
	c.muted, c.mutedTill = true, until
	c.loop.Schedule(&c.muteTimer, until)
	c.loop.touch(c)
}

func (c *conn) SetDeadline(t time.Time) {
	if t.IsZero() || c.closed {
		c.loop.Cancel(&c.deadlineTimer)
		return
	}
	c.loop.Schedule(&c.deadlineTimer, t)
}

func (c *conn) CloseAfter(d time.Duration, why error) {
	if c.closed || c.closing {
		return
	}
	c.closing, c.reason, c.why = true, ClosedByHandler, why
	// At least a turn, so that what was answered before in this turn is sent.
	c.loop.Schedule(&c.closeTimer, c.loop.now.Add(d))
	c.loop.touch(c)
}

func (c *conn) Close(why error) { c.close(ClosedByHandler, why) }

func (c *conn) Respond(s Slot, r *Response) {
	sl := c.waiting(s)
	if sl == nil {
		c.late(s)
		r.Release()
		return
	}
	r.seal()
	c.settleSlot(sl, slotReady, r, nil)
}

func (c *conn) Skip(s Slot) { c.complete(s, slotSkipped, nil) }

func (c *conn) Fail(s Slot, why error) { c.complete(s, slotFailed, why) }

func (c *conn) complete(s Slot, state uint8, why error) {
	sl := c.waiting(s)
	if sl == nil {
		c.late(s)
		return
	}
	c.settleSlot(sl, state, nil, why)
}

// waiting finds a slot that is still to be answered.
func (c *conn) waiting(s Slot) *slot {
	if seq := uint64(s); seq-c.head < c.tail-c.head {
		if sl := c.slot(seq); sl.state == slotWaiting {
			return sl
		}
	}
	return nil
}

// late counts an answer to a slot that has one: a bug of the handler's, unless
// the handler panicked after it had handed the slot on.
func (c *conn) late(s Slot) {
	c.loop.stats.lateAnswers.Add(1)
	c.srv.opt.Logger.Error("netloop: a slot was answered twice; the second answer is dropped", "conn", c.id, "slot", s)
	if invariants && c.loop.stats.panics.Load() == 0 {
		panic("BUG: netloop: a slot was answered twice")
	}
}

// settleSlot records an answer. On a closed connection it only releases.
func (c *conn) settleSlot(sl *slot, state uint8, r *Response, why error) {
	sl.state, sl.resp, sl.why = state, r, why
	c.owed--
	c.uncharge(sl.cost)
	if c.closed {
		c.dying() // bury releases
		return
	}
	if r != nil {
		c.outBytes += int64(len(r.Buf.B))
	}
	c.loop.touch(c)
}

// push opens the slot of a request that arrived.
func (c *conn) push(cost int64, received time.Time) Slot {
	if n := c.tail - c.head; int(n) == len(c.slots) {
		c.growSlots()
	}
	seq := c.tail
	*c.slot(seq) = slot{cost: cost, received: received}
	c.tail++
	c.owed++
	return Slot(seq)
}

func (c *conn) growSlots() {
	old := c.slots
	c.slots = make([]slot, max(8, 2*len(old)))
	for seq := c.head; seq != c.tail; seq++ {
		*c.slot(seq) = old[seq&uint64(len(old)-1)]
	}
}

// slot is where the request at seq is kept, valid until growSlots.
func (c *conn) slot(seq uint64) *slot { return &c.slots[seq&uint64(len(c.slots)-1)] }

// ready reports whether the request at seq, one before the tail, is answered.
func (c *conn) ready(seq uint64) bool {
	return c.slot(seq).state != slotWaiting
}

// first is the slot at the head, when it is answered.
func (c *conn) first() *slot {
	if c.head == c.tail {
		return nil
	}
	if sl := c.slot(c.head); sl.state != slotWaiting {
		return sl
	}
	return nil
}

// pop removes the head, whose answer has left.
func (c *conn) pop(sl *slot) {
	if r := sl.resp; r != nil {
		c.loop.stats.responses.Add(1)
		c.loop.stats.requests.Observe(c.loop.now.Sub(sl.received))
		c.outBytes -= int64(len(r.Buf.B))
		c.active = c.loop.now
		r.Release()
	}
	*sl = slot{}
	c.head++
}

// dropOutput releases the answers of a closed connection, but for those that a
// worker or a TLS writer still reads: they go when it is done.
func (c *conn) dropOutput() {
	if c.coldBusy || c.link != nil && !c.link.ended {
		return
	}
	for seq := c.head; seq != c.tail; seq++ {
		if sl := c.slot(seq); sl.resp != nil {
			sl.resp.Release()
			sl.resp = nil
		}
	}
	c.outBytes = 0
}

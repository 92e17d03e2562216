package netloop

import (
	"math"
	"math/bits"
)

// wheel keeps a loop's timers: O(1) to set, move and unset, no allocation,
// whatever their number.
//
// One wheel of 1 ms slots would either be huge or hold timers of many
// revolutions in one slot, so that the loop wakes for nothing each time such a
// slot comes by; with 10,000 idle timeouts that is every millisecond. So there
// are four levels: 256 slots of 1 ms, then three of 64 slots of 256 ms, 16 s
// and 17 min. A timer sits in the coarsest slot that its distance needs and
// moves down when that slot begins, three times at most. Bitmaps say which
// slots hold anything, so the next tick of interest is found in a few
// instructions and the loop sleeps until then.
//
// Invariant: every timer with tick ≤ cur has been popped; a timer in level 0
// lies in (cur, cur+256), one in level k in the 64 slots after cur's own.
type wheel struct {
	cur      int64 // the last tick that was processed
	near     [nearSlots]*Timer
	nearBits [nearSlots / 64]uint64
	far      [farLevels][farSlots]*Timer
	farBits  [farLevels]uint64
	count    int
}

const (
	nearSlots = 256
	nearShift = 8
	farSlots  = 64
	farShift  = 6
	farLevels = 3
	// wheelSpan is how far the wheel reaches; a timer beyond it waits in the
	// last slot and is placed again from there.
	wheelSpan = int64(1) << (nearShift + farLevels*farShift)
	never     = math.MaxInt64
)

// timerState is a Timer's place in its loop's wheel.
type timerState struct {
	next, prev *Timer
	tick       int64
	level      int8 // 0: near, 1 … farLevels: far; meaningful when set
	slot       uint8
	set        bool
}

// schedule sets t to fire at tick, or at the next one when that has passed.
func (w *wheel) schedule(t *Timer, tick int64) {
	if t.set {
		w.remove(t)
	}
	t.tick = max(tick, w.cur+1)
	w.place(t)
}

// cancel unsets t and reports whether it was set.
func (w *wheel) cancel(t *Timer) bool {
	if !t.set {
		return false
	}
	w.remove(t)
	return true
}

func (w *wheel) place(t *Timer) {
	tick := min(t.tick, w.cur+wheelSpan-1)
	delta := tick - w.cur
	head := (**Timer)(nil)
	if delta < nearSlots {
		slot := tick & (nearSlots - 1)
		t.level, t.slot = 0, uint8(slot)
		head = &w.near[slot]
		w.nearBits[slot>>6] |= 1 << (slot & 63)
	} else {
		k := 0
		for delta >= int64(1)<<(nearShift+(k+1)*farShift) {
			k++
		}
		slot := tick >> (nearShift + k*farShift) & (farSlots - 1)
		t.level, t.slot = int8(k+1), uint8(slot)
		head = &w.far[k][slot]
		w.farBits[k] |= 1 << slot
	}
	t.set, t.prev, t.next = true, nil, *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
	w.count++
}

func (w *wheel) remove(t *Timer) {
	head := &w.near[t.slot]
	if t.level > 0 {
		head = &w.far[t.level-1][t.slot]
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		*head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if *head == nil {
		if t.level > 0 {
			w.farBits[t.level-1] &^= 1 << t.slot
		} else {
			w.nearBits[t.slot>>6] &^= 1 << (t.slot & 63)
		}
	}
	t.next, t.prev, t.set = nil, nil, false
	w.count--
}

// next is the tick at which the wheel must be looked at again: the next timer
// of level 0, or the begin of the next used slot of a higher level.
func (w *wheel) next() int64 {
	best := int64(never)
	for at := w.cur + 1; at < w.cur+nearSlots; {
		slot := at & (nearSlots - 1)
		if word := w.nearBits[slot>>6] >> (slot & 63); word != 0 {
			best = at + int64(bits.TrailingZeros64(word))
			break
		}
		at += 64 - at&63
	}
	for k := range w.farBits {
		if w.farBits[k] == 0 {
			continue
		}
		shift := nearShift + k*farShift
		window := w.cur >> shift
		ahead := bits.TrailingZeros64(bits.RotateLeft64(w.farBits[k], -int(window&(farSlots-1))-1)) + 1
		best = min(best, (window+int64(ahead))<<shift)
	}
	return best
}

// pop takes out one timer that is due at or before target, or gives nil when
// none is; cur is then target. Timers that are set while others are popped
// come in a later tick, so that a timer that sets itself cannot hold the loop.
func (w *wheel) pop(target int64) *Timer {
	for {
		if t := w.near[w.cur&(nearSlots-1)]; t != nil {
			w.remove(t)
			return t
		}
		n := w.next()
		if n > target {
			w.cur = max(w.cur, target)
			return nil
		}
		w.cur = n
		w.cascade()
	}
}

// cascade moves the timers of the higher slots that begin at cur down.
func (w *wheel) cascade() {
	for k := farLevels - 1; k >= 0; k-- {
		shift := nearShift + k*farShift
		if w.cur&(int64(1)<<shift-1) != 0 {
			continue
		}
		slot := w.cur >> shift & (farSlots - 1)
		for t := w.far[k][slot]; t != nil; t = w.far[k][slot] {
			w.remove(t)
			w.place(t)
		}
	}
}

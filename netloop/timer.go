package netloop

import "time"

// Timer is an intrusive timer; Fire runs on the loop. The zero value is not
// scheduled. A Timer belongs to the loop it was scheduled on until it has
// fired or was cancelled.
type Timer struct {
	// Fire is called on the loop when the time has come; the timer is unset by
	// then and may be scheduled again.
	Fire func(now time.Time)
	timerState
}

// Schedule sets or moves t. Resolution 1 ms, never early; a time that has
// passed fires in the loop's next turn. Loop only.
func (l *Loop) Schedule(t *Timer, at time.Time) {
	l.wheel.schedule(t, l.tickAfter(at))
}

// Cancel unsets t; it reports whether t was set. Loop only.
func (l *Loop) Cancel(t *Timer) bool { return l.wheel.cancel(t) }

// tickAfter is the first tick that is not before at.
func (l *Loop) tickAfter(at time.Time) int64 {
	d := at.Sub(l.base)
	if d <= 0 {
		return 0
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// fireTimers runs what is due at l.now.
func (l *Loop) fireTimers() {
	target := int64(l.now.Sub(l.base) / time.Millisecond)
	for t := l.wheel.pop(target); t != nil; t = l.wheel.pop(target) {
		l.fire(t)
	}
	if l.armed <= target {
		l.armed = never
	}
}

func (l *Loop) fire(t *Timer) {
	defer l.recoverTask("timer")
	t.Fire(l.now)
}

// arm makes the timer descriptor fire when the wheel must be looked at next.
// It is only ever moved forward: a cancelled timer costs at most one empty
// turn, and a server whose timers are set and cancelled all the time pays no
// system call for it.
func (l *Loop) arm() {
	next := l.wheel.next()
	if next >= l.armed {
		return
	}
	l.armed = next
	l.setTimer(l.base.Add(time.Duration(next) * time.Millisecond).Sub(l.now))
}

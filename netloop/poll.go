package netloop

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

const (
	firstEvents = 64
	mostEvents  = 1024
)

// epollOf is the descriptor of gnet's epoll set, which the package does not
// give out.
func epollOf(p *netpoll.Poller) (int, error) {
	fd := reflect.ValueOf(p).Elem().FieldByName("fd")
	if !fd.IsValid() || fd.Kind() != reflect.Int {
		return -1, errors.New("netloop: gnet's poller has no descriptor where this version of chronik looks for it")
	}
	return int(fd.Int()), nil
}

// poll runs turns until the loop stops or is somebody else's, and reports false
// when it ended by itself. It is gnet's Polling without two things
// that cost more than the rest of a small request: the second look with timeout
// zero before each sleep, and runtime.Gosched, which has Go look for work that a
// loop does not leave behind (its wakes go to threads: an eventfd, a futex).
func (l *Loop) poll() (over bool, err error) {
	events := make([]unix.EpollEvent, firstEvents)
	for {
		timeout, mine := l.windUp()
		if !mine || l.stop {
			return true, nil
		}
		n, err := unix.EpollWait(l.epoll, events, timeout)
		l.box.disarm()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("waiting for events: %w", os.NewSyscallError("epoll_wait", err))
		}
		for i := range events[:n] {
			if l.turn(int(events[i].Fd), events[i].Events); l.stop {
				return true, nil
			}
		}
		if n == len(events) && n < mostEvents {
			events = make([]unix.EpollEvent, 2*n)
		}
	}
}

// mostRounds is how often tasks may bring more tasks before connections are
// looked at again.
const mostRounds = 4

// windUp runs what was left for the end of a batch of events, and the tasks that
// were posted meanwhile. It tells how long the loop may sleep, or that it is
// somebody else's loop now.
func (l *Loop) windUp() (timeout int, mine bool) {
	for range mostRounds {
		if !l.runErrands() {
			return 0, false
		}
		if l.box.arm() {
			return -1, true
		}
		if l.turn(l.wakeFD, unix.EPOLLIN); l.stop {
			return 0, true
		}
	}
	return 0, l.runErrands()
}

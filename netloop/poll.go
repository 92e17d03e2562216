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

// poll runs turns until the loop stops. It is gnet's Polling without two things
// that cost more than the rest of a small request: the second look with timeout
// zero before each sleep, and runtime.Gosched, which has Go look for work that a
// loop does not leave behind (its wakes go to threads: an eventfd, a futex).
func (l *Loop) poll() error {
	events := make([]unix.EpollEvent, firstEvents)
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for events: %w", os.NewSyscallError("epoll_wait", err))
		}
		for i := range events[:n] {
			if l.turn(int(events[i].Fd), events[i].Events); l.stop {
				return nil
			}
		}
		if n == len(events) && n < mostEvents {
			events = make([]unix.EpollEvent, 2*n)
		}
	}
}

package netloop

import (
	"testing"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// TestEpollOf: the descriptor that the loop waits on is the one that gnet's
// poller registers with. A version of gnet that keeps it elsewhere fails here.
func TestEpollOf(t *testing.T) {
	p, err := netpoll.OpenPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	fd, err := epollOf(p)
	if err != nil {
		t.Fatal(err)
	}
	var pair [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, fd := range pair {
			if err := unix.Close(fd); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := p.AddRead(&netpoll.PollAttachment{FD: pair[0]}, false); err != nil {
		t.Fatal(err)
	}
	events := make([]unix.EpollEvent, 4)
	if n, err := unix.EpollWait(fd, events, 0); n != 0 || err != nil {
		t.Fatalf("an empty pipe: %d events, %v", n, err)
	}
	if _, err := unix.Write(pair[1], []byte{1}); err != nil {
		t.Fatal(err)
	}
	n, err := unix.EpollWait(fd, events, 0)
	if n != 1 || err != nil || int(events[0].Fd) != pair[0] {
		t.Errorf("a pipe with a byte: %d events, %v, for descriptor %d, not %d", n, err, events[0].Fd, pair[0])
	}
}

package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// mortal is a dialer whose connections can be cut all at once and for ever, so
// that a client on it ends as one does whose process is killed: it says nothing
// to anybody. It may be used by several goroutines.
type mortal struct {
	tls *tls.Config

	mu    sync.Mutex
	conns []net.Conn // mu
	dead  bool       // mu
}

var errCut = errors.New("this client was killed on purpose")

// mortalClient gives the options of a client on a dialer that can be cut.
func (t Target) mortalClient(opts ...kgo.Opt) (*mortal, []kgo.Opt) {
	m := &mortal{tls: t.TLS}
	t.TLS = nil
	return m, append(append(t.Options(), kgo.Dialer(m.dial)), opts...)
}

func (m *mortal) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	m.mu.Lock()
	dead := m.dead
	m.mu.Unlock()
	if dead {
		return nil, errCut
	}
	var conn net.Conn
	var err error
	if m.tls != nil {
		conn, err = (&tls.Dialer{Config: m.tls}).DialContext(ctx, network, addr)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errors.Join(errCut, conn.Close())
	}
	m.conns = append(m.conns, conn)
	return conn, nil
}

// cut ends every connection and all dialling.
func (m *mortal) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, c := range m.conns {
		c.Close() // what is lost with it is the point
	}
	m.conns = nil
}

// bury ends a client whose connections were cut, without a last word: the leave
// that it would send has nowhere to go and is not waited for.
func bury(cl *kgo.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = cl.LeaveGroupContext(ctx) // it fails: that is what being killed means
	cl.CloseAllowingRebalance()
}

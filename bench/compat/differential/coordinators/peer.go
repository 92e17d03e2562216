package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is one of the two brokers. A request takes an idle connection or a new
// one, so that a join that waits holds nothing up.
type peer struct {
	addr string

	mu   sync.Mutex
	idle []net.Conn // mu
}

// patience is how long an answer may take at most.
const patience = 30 * time.Second

// answer is a response, or what came in its place.
type answer struct {
	resp kmsg.Response
	fate string // "" when resp is there
}

// send asks and gives the answer through the channel.
func (p *peer) send(req kmsg.Request) <-chan answer {
	out := make(chan answer, 1)
	go func() { out <- p.ask(req) }()
	return out
}

func (p *peer) ask(req kmsg.Request) answer {
	conn, err := p.conn()
	if err != nil {
		return answer{fate: "refused"}
	}
	resp, fate := exchange(conn, req)
	if fate != "" {
		_ = conn.Close() // nothing more comes from it
		return answer{fate: fate}
	}
	p.mu.Lock()
	p.idle = append(p.idle, conn)
	p.mu.Unlock()
	return answer{resp: resp}
}

func (p *peer) conn() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	return net.Dial("tcp", p.addr)
}

func exchange(conn net.Conn, req kmsg.Request) (kmsg.Response, string) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, "closed"
	}
	const client = "coordinators"
	b := make([]byte, 4, 512)
	b = binary.BigEndian.AppendUint16(b, uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(req.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(client)))
	b = append(b, client...)
	if req.IsFlexible() {
		b = append(b, 0)
	}
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := conn.Write(b); err != nil {
		return nil, "closed"
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, "closed"
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, "cut off"
	}
	r := kbin.Reader{Src: body}
	r.Int32()
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		return nil, fmt.Sprintf("unreadable: %v", err)
	}
	return resp, ""
}

package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ClientID is what the requests call themselves.
const ClientID = "differential"

// patience is how long an answer may take.
const patience = 5 * time.Second

// Peer is one of the two brokers.
type Peer struct {
	Name string
	Addr string
	// Port is how it appears in answers.
	Port int32
	// Versions are the least and the newest version it advertises by key.
	Versions map[int16][2]int16
	// Vars are what the setup kept.
	Vars *Vars
}

// Dial asks the broker at addr for its versions.
func Dial(name, addr string) (*Peer, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	p := &Peer{Name: name, Addr: addr, Port: int32(n), Versions: map[int16][2]int16{}, Vars: newVars()}
	a := p.Run(One("versions", kmsg.NewPtrApiVersionsRequest()))
	resp, ok := a[0].Response.(*kmsg.ApiVersionsResponse)
	if !ok {
		return nil, fmt.Errorf("%s at %s does not tell its versions: %s", name, addr, a[0].Fate)
	}
	for _, k := range resp.ApiKeys {
		p.Versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	return p, nil
}

// Answer is what became of one step.
type Answer struct {
	// Fate is answered, closed, timeout, unreadable or silent.
	Fate     string
	Response kmsg.Response
	// Values are the answer's fields by path, made comparable.
	Values map[string]string
	// Texts are the messages and other words that are not compared.
	Texts map[string]string
}

// link is a connection of a case.
type link struct {
	conn net.Conn
	next int32
}

// Run has the conversation and gives an answer for each step. A connection that
// the broker closed is opened again by the next step that uses it.
func (p *Peer) Run(c Case) []Answer {
	vars := p.Vars.clone()
	answers, _ := p.run(c, vars)
	return answers
}

// Prepare has the conversation and keeps what it names for all later cases.
func (p *Peer) Prepare(c Case) error {
	answers, failed := p.run(c, p.Vars)
	if failed != nil {
		return failed
	}
	for i, a := range answers {
		if a.Fate != "answered" {
			return fmt.Errorf("%s: step %d of %s: %s", p.Name, i, c.Name, a.Fate)
		}
	}
	return nil
}

func (p *Peer) run(c Case, vars *Vars) (answers []Answer, failed error) {
	links := map[int]*link{}
	defer func() {
		for _, l := range links {
			_ = l.conn.Close() // the broker may have closed it
		}
	}()
	for i, s := range c.Steps {
		deadline := time.Now().Add(patience)
		var a Answer
		for {
			l := links[s.On]
			if l == nil {
				conn, err := net.Dial("tcp", p.Addr)
				if err != nil {
					a = Answer{Fate: "refused"}
					break
				}
				l = &link{conn: conn}
				links[s.On] = l
			}
			a = l.ask(s, vars)
			if a.Fate != "answered" && a.Fate != "silent" {
				_ = l.conn.Close() // nothing more comes from it
				delete(links, s.On)
			}
			if s.Until == nil || a.Fate != "answered" || s.Until(a.Response) {
				break
			}
			if time.Now().After(deadline) {
				failed = fmt.Errorf("%s: step %d of %s (%T) did not become what it waits for: %+v", p.Name, i, c.Name, s.Req, a.Response)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if a.Fate == "answered" {
			if s.Keep != nil {
				s.Keep(a.Response, vars)
			}
			f := flattener{peer: p, vars: vars, ordered: s.Ordered, values: map[string]string{}, texts: map[string]string{}}
			f.walk("", "", reflect.ValueOf(a.Response).Elem())
			a.Values, a.Texts = f.values, f.texts
		}
		answers = append(answers, a)
	}
	return answers, failed
}

func (l *link) ask(s Step, vars *Vars) Answer {
	l.next++
	body := s.Req.AppendTo(nil)
	if s.Raw != nil {
		body = s.Raw
	} else {
		req := kmsg.RequestForKey(s.Req.Key())
		req.SetVersion(s.Req.GetVersion())
		if err := req.ReadFrom(body); err != nil {
			return Answer{Fate: "unsendable: " + err.Error()}
		}
		vars.resolve(reflect.ValueOf(req).Elem())
		body = req.AppendTo(nil)
	}
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return Answer{Fate: "closed"}
	}
	if _, err := l.conn.Write(frame(s.Req, l.next, body)); err != nil {
		return Answer{Fate: "closed"}
	}
	if s.Silent {
		return Answer{Fate: "silent"}
	}
	return l.read(s.Req)
}

// frame is a body with the request header of its key and version.
func frame(req kmsg.Request, correlation int32, body []byte) []byte {
	b := make([]byte, 4, 64+len(body))
	b = binary.BigEndian.AppendUint16(b, uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(req.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, uint16(len(ClientID)))
	b = append(b, ClientID...)
	if req.IsFlexible() {
		b = append(b, 0)
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (l *link) read(req kmsg.Request) Answer {
	var n [4]byte
	if _, err := io.ReadFull(l.conn, n[:]); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return Answer{Fate: "timeout"}
		}
		return Answer{Fate: "closed"}
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(l.conn, b); err != nil {
		return Answer{Fate: "cut off: " + err.Error()}
	}
	r := kbin.Reader{Src: b}
	if got := r.Int32(); got != l.next {
		return Answer{Fate: fmt.Sprintf("correlation id %d instead of %d", got, l.next)}
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if _, ok := req.(*kmsg.ApiVersionsRequest); ok && len(r.Src) > 2 && binary.BigEndian.Uint16(r.Src) == unsupportedVersion {
		resp.SetVersion(0) // KIP-511: such a refusal has the oldest form
	} else if _, ok := req.(*kmsg.ApiVersionsRequest); !ok && resp.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		return Answer{Fate: fmt.Sprintf("unreadable: %v", err)}
	}
	return Answer{Fate: "answered", Response: resp}
}

const unsupportedVersion = 35

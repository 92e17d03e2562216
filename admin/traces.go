package admin

import (
	"net/http"
	"time"
)

// TraceView is one request of /v1/traces: when it came and where its time went,
// in milliseconds.
type TraceView struct {
	API      string             `json:"api"`
	Version  int16              `json:"version"`
	ClientID string             `json:"client_id"`
	Remote   string             `json:"remote"`
	Received time.Time          `json:"received"`
	TookMs   float64            `json:"took_ms"`
	PartsMs  map[string]float64 `json:"parts_ms"`
	BytesIn  int                `json:"bytes_in"`
	BytesOut int                `json:"bytes_out"`
	Failed   bool               `json:"failed,omitempty"`
	Closed   string             `json:"closed,omitempty"`
}

// traces shows the requests that the broker keeps, the newest first; none
// without --trace-sample or --trace-slow.
func (s *Server) traces(*http.Request) (any, error) {
	kept, _, _ := s.o.Broker.Traces(0)
	out := make([]TraceView, 0, len(kept))
	for i := len(kept) - 1; i >= 0; i-- {
		t := &kept[i]
		v := TraceView{API: t.Name, Version: t.Version, ClientID: t.ClientID, Remote: t.Remote.String(), Received: t.Received,
			TookMs: millis(t.Answered.Sub(t.Received)), PartsMs: map[string]float64{}, BytesIn: t.BytesIn, BytesOut: t.BytesOut, Failed: t.Failed, Closed: t.Closed}
		for _, p := range parts(t) {
			v.PartsMs[p.name] = millis(p.to.Sub(p.from))
		}
		out = append(out, v)
	}
	return out, nil
}

func millis(d time.Duration) float64 { return float64(d) / 1e6 }

package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"sort"
	"time"

	"github.com/chronik-stream/chronik/group/txn"
)

// The JSON views, for curl and the page. Their types are stable: fields are
// added, never changed.

// errNoSuch is answered with 404.
var errNoSuch = errors.New("there is no such thing")

// view makes a handler of a function that gives what is to be shown.
func (s *Server) view(get func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := get(r)
		switch {
		case errors.Is(err, errNoSuch):
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			s.o.Logger.Debug("a view could not be sent", "path", r.URL.Path, "error", err)
		}
	}
}

// BrokerView is /v1/broker.
type BrokerView struct {
	Version      string            `json:"version"`
	NodeID       int32             `json:"node_id"`
	ClusterID    string            `json:"cluster_id"`
	Durability   string            `json:"durability"`
	Started      time.Time         `json:"started"`
	Listeners    map[string]string `json:"listeners"`
	Connections  int64             `json:"connections"`
	Topics       int64             `json:"topics"`
	Partitions   int64             `json:"partitions"`
	ProducedMB   float64           `json:"produced_mb"`
	FetchedMB    float64           `json:"fetched_mb"`
	LoopStalls   int64             `json:"loop_stalls"`
	CommitGroups uint64            `json:"commit_groups"`
	MeanSyncMs   float64           `json:"mean_sync_ms"`
}

func (s *Server) broker(*http.Request) (any, error) {
	b := s.o.Broker
	st, net, log := b.Stats(), b.Server().Stats(), b.Store().Stats()
	v := BrokerView{Version: b.Version(), NodeID: b.Cluster().NodeID(), ClusterID: b.Cluster().Image().ClusterID, Durability: b.Durability(),
		Started: b.Started(), Listeners: b.Addrs(), Connections: net.Open, Topics: st.Topics, Partitions: st.Partitions,
		ProducedMB: float64(st.ProducedBytes) / 1e6, FetchedMB: float64(st.FetchedBytes) / 1e6, LoopStalls: net.Stalls, CommitGroups: log.Groups}
	if log.SyncTime.Count > 0 {
		v.MeanSyncMs = float64(log.SyncTime.Sum) / float64(log.SyncTime.Count) / 1e6
	}
	return v, nil
}

// TopicView is one topic of /v1/topics.
type TopicView struct {
	Name       string          `json:"name"`
	ID         string          `json:"id"`
	Internal   bool            `json:"internal,omitempty"`
	Partitions []PartitionView `json:"partitions"`
	Bytes      int64           `json:"bytes"`
	Records    int64           `json:"records"`
}

// PartitionView is one partition.
type PartitionView struct {
	Partition     int32 `json:"partition"`
	LogStart      int64 `json:"log_start_offset"`
	HighWatermark int64 `json:"high_watermark"`
	LastStable    int64 `json:"last_stable_offset"`
	LogEnd        int64 `json:"log_end_offset"`
	LeaderEpoch   int32 `json:"leader_epoch"`
	Bytes         int64 `json:"bytes"`
}

func (s *Server) topics(*http.Request) (any, error) {
	views := []TopicView{}
	for _, t := range s.o.Broker.Cluster().Image().Topics() {
		views = append(views, s.topicView(t.Name))
	}
	return views, nil
}

func (s *Server) topic(r *http.Request) (any, error) {
	name := r.PathValue("topic")
	if s.o.Broker.Cluster().Image().Topic(name) == nil {
		return nil, errNoSuch
	}
	return s.topicView(name), nil
}

func (s *Server) topicView(name string) TopicView {
	t := s.o.Broker.Cluster().Image().Topic(name)
	v := TopicView{Name: name, Partitions: []PartitionView{}}
	if t == nil {
		return v // deleted meanwhile
	}
	v.ID, v.Internal = t.ID.String(), t.Internal
	for p := range t.Partitions {
		log := s.o.Broker.Log(name, p)
		if log == nil {
			continue
		}
		o := log.Offsets()
		part := PartitionView{p, o.LogStart, o.HighWatermark, o.LastStable, o.LogEnd, log.Epoch(), log.Size()}
		v.Partitions = append(v.Partitions, part)
		v.Bytes += part.Bytes
		v.Records += o.HighWatermark - o.LogStart
	}
	return v
}

// GroupView is one group of /v1/groups.
type GroupView struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	State   string       `json:"state"`
	Members int          `json:"members"`
	Lag     int64        `json:"lag"`
	Offsets []OffsetView `json:"offsets"`
}

// OffsetView is a committed offset.
type OffsetView struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Lag       int64   `json:"lag"`
	Behind    float64 `json:"behind_seconds"`
}

func (s *Server) groups(*http.Request) (any, error) {
	views := []GroupView{}
	c := s.o.Broker.Groups()
	if c == nil {
		return views, nil
	}
	now := time.Now()
	for _, g := range c.Groups() {
		v := GroupView{ID: g.ID, Type: g.Type, State: g.State, Members: g.Members, Offsets: []OffsetView{}}
		for _, o := range g.Offsets {
			one := OffsetView{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}
			if log := s.o.Broker.Log(o.Topic, o.Partition); log != nil {
				lag, age := lagOf(log, o, now)
				one.Lag, one.Behind = lag, age.Seconds()
			}
			v.Lag += one.Lag
			v.Offsets = append(v.Offsets, one)
		}
		views = append(views, v)
	}
	return views, nil
}

// TransactionView is one entry of /v1/transactions.
type TransactionView struct {
	ID         string `json:"id"`
	ProducerID int64  `json:"producer_id"`
	State      string `json:"state"`
	Partitions int    `json:"partitions"`
}

func (s *Server) transactions(*http.Request) (any, error) {
	views := []TransactionView{}
	c := s.o.Broker.Transactions()
	if c == nil {
		return views, nil
	}
	ch := make(chan []txn.Transaction, 1)
	c.List(func(all []txn.Transaction, _ bool) { ch <- all })
	for _, t := range <-ch {
		views = append(views, TransactionView{t.ID, t.ProducerID, t.State.String(), t.Partitions})
	}
	sort.Slice(views, func(i, j int) bool { return views[i].ID < views[j].ID })
	return views, nil
}

// DiskView is one data directory of /v1/disks.
type DiskView struct {
	Path   string `json:"path"`
	Online bool   `json:"online"`
	Error  string `json:"error,omitempty"`
	Free   uint64 `json:"free_bytes"`
	Total  uint64 `json:"total_bytes"`
}

func (s *Server) disks(*http.Request) (any, error) {
	views := []DiskView{}
	for _, d := range s.o.Broker.Store().Dirs() {
		v := DiskView{Path: d.Path, Online: d.Online, Free: d.Free, Total: d.Total}
		if d.Err != nil {
			v.Error = d.Err.Error()
		}
		views = append(views, v)
	}
	return views, nil
}

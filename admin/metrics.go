package admin

import (
	"math"
	"strconv"
	"time"

	"github.com/chronik-stream/chronik/group"
	"github.com/chronik-stream/chronik/logstore"
	"github.com/chronik-stream/chronik/netloop"
)

// metrics is every metric, by name without the prefix chronik_.
var metrics = []metric{
	{"info", "Version, node and durability mode; always 1.", []string{"version", "node", "durability"}},
	{"uptime_seconds", "Seconds since the broker was started.", nil},
	{"requests_total", "Requests answered, by API.", []string{"api"}},
	{"request_errors_total", "Requests answered with an error.", []string{"api"}},
	{"request_closed_total", "Connections ended by a request.", []string{"api"}},
	{"request_bytes_total", "Bytes of request frames.", []string{"api"}},
	{"response_bytes_total", "Bytes of answers without file ranges.", []string{"api"}},
	{"request_seconds", "Time from a request's arrival to its answer.", []string{"api"}},
	{"produced_bytes_total", "Bytes of record batches appended.", nil},
	{"produced_batches_total", "Record batches appended.", nil},
	{"fetched_bytes_total", "Bytes of record batches sent.", nil},
	{"fetch_parked_total", "Fetches that waited for data.", nil},
	{"fetch_woken_total", "Parked fetches that looked again.", nil},
	{"fetch_expired_total", "Parked fetches that waited to the end.", nil},
	{"produce_busy_total", "Produces that waited for the commit queue.", nil},
	{"fetch_sessions", "Fetch sessions.", nil},
	{"fetch_session_partitions", "Partitions in fetch sessions.", nil},
	{"metadata_cache_answers", "Large Metadata answers kept to be told again.", nil},
	{"metadata_cache_bytes", "Bytes of these.", nil},
	{"traces", "Traces kept for readers.", nil},
	{"limit", "The number in force of a row of the table of limits.", []string{"name"}},
	{"fetch_session_evictions_total", "Fetch sessions that had to go for others.", nil},
	{"worker_queue", "Requests that wait for a worker.", nil},
	{"workers_running", "Requests on a worker.", nil},
	{"topics", "Topics.", nil},
	{"partitions", "Partitions.", nil},
	{"panics_total", "Panics that were recovered.", nil},
	{"client_metric", "What clients push of themselves (KIP-714), as the client-metrics resources ask for.", []string{"instance", "client", "metric", "labels"}},

	{"connections_accepted_total", "Connections accepted.", nil},
	{"connections_refused_total", "Connections over a limit.", nil},
	{"connections_not_admitted_total", "Connections that admission refused.", nil},
	{"accept_pauses_total", "Times accept ran out of descriptors or memory.", nil},
	{"connections", "Open connections.", nil},
	{"connections_closed_total", "Connections closed, by reason.", []string{"reason"}},
	{"tls_handshakes", "TLS handshakes under way.", nil},
	{"network_in_bytes_total", "Bytes received.", nil},
	{"network_out_bytes_total", "Bytes sent.", nil},
	{"sendfile_bytes_total", "Bytes sent by sendfile.", nil},
	{"copied_bytes_total", "Bytes of file ranges that were copied out first.", nil},
	{"reads_paused_total", "Times a connection stopped being read.", nil},
	{"memory_waits_total", "Frames that waited for memory in flight.", nil},
	{"cold_reads_total", "Ranges that waited for the disk on a worker.", nil},
	{"loop_stalls_total", "Turns of an event loop above 1 ms.", nil},
	{"loop_handovers_total", "Times an event loop went on on another goroutine because its commit waited for the disk.", nil},
	{"in_flight_bytes", "Memory of requests in flight.", nil},
	{"mailbox_peak", "Most tasks that ever waited on one loop.", nil},
	{"loop_turn_seconds", "Time of an event loop's turns.", nil},
	{"network_request_seconds", "Time from a frame's last byte in to its answer's last byte out.", nil},

	{"log_appends_total", "Appends to logs.", nil},
	{"log_append_bytes_total", "Bytes appended to logs.", nil},
	{"log_duplicates_total", "Batches that a producer sent again.", nil},
	{"commit_groups_total", "Commit groups.", nil},
	{"commits_led_total", "Commits by the event loop that appended, without a goroutine between.", nil},
	{"journal_syncs_total", "Syncs of journals.", nil},
	{"direct_syncs_total", "Syncs of segments beside the journal.", nil},
	{"journal_bytes_total", "Bytes written to journals.", nil},
	{"commit_group_size", "Appends per commit group.", nil},
	{"journal_sync_seconds", "Time of a journal sync.", nil},
	{"append_busy_total", "Appends that found the commit queue full.", nil},
	{"commit_queue_bytes", "Bytes that wait for a commit.", nil},
	{"commit_queue_entries", "Appends that wait for a commit.", nil},
	{"journal_ring_bytes", "Size of the journals' rings.", nil},
	{"journal_ring_held_bytes", "Of these, what awaits a checkpoint.", nil},
	{"journal_stalls_total", "Times a journal waited for a checkpoint.", nil},
	{"journal_stall_seconds_total", "Time journals waited for checkpoints.", nil},
	{"journal_sync_running_seconds", "How long the slowest running sync has been running.", nil},
	{"stalled_syncs_total", "Syncs that ran longer than --stall-unhealthy.", nil},
	{"log_open_files", "Segment files open.", nil},
	{"log_room_syncs_total", "Segments synced so that their files could be closed: more are hot than may be open.", nil},
	{"log_segments", "Segments of loaded logs.", nil},
	{"logs", "Logs.", nil},
	{"log_recoveries_total", "Logs recovered after an unclean stop.", nil},
	{"log_damaged_total", "Damage found in acknowledged data.", nil},
	{"checkpoints_total", "Checkpoints.", nil},
	{"checkpoint_seconds", "Time of the last checkpoint.", nil},
	{"log_rolls_total", "Segments rolled.", nil},
	{"dir_online", "1 when a data directory is in service.", []string{"dir"}},
	{"dir_free_bytes", "Free space of a data directory's file system.", []string{"dir"}},

	{"groups", "Groups by type and state.", []string{"type", "state"}},
	{"group_members", "Members of all groups.", nil},
	{"group_offsets", "Committed offsets kept.", nil},
	{"group_commits_total", "Offsets committed.", nil},
	{"group_rebalances_total", "Rebalances.", nil},
	{"group_offsets_expired_total", "Committed offsets that expired.", nil},
	{"group_shards_loading", "Partitions of __consumer_offsets that do not serve yet.", nil},
	{"group_queue", "Requests that wait in coordinators.", nil},
	{"group_lag", "Records between a group's committed offset and the high watermark.", []string{"group", "topic", "partition"}},
	{"group_lag_seconds", "Time since the commit of a group that is behind, 0 for one that is not. Of one that goes on committing it says nothing of how old its records are.", []string{"group", "topic", "partition"}},

	{"transactional_ids", "Transactional ids known.", nil},
	{"transactions_committed_total", "Transactions committed.", nil},
	{"transactions_aborted_total", "Transactions aborted.", nil},
	{"transactions_fenced_total", "Transactions aborted by a fence.", nil},
	{"transactions_timed_out_total", "Transactions aborted by their timeout.", nil},
	{"transaction_requests_parked_total", "Requests that waited for a completion.", nil},
	{"transaction_markers_total", "Markers sent.", nil},
	{"transaction_marker_retries_total", "Markers sent again.", nil},
}

func (s sink) broker() {
	b, st := s.c.b, s.c.b.Stats()
	s.gauge("info", 1, b.Version(), strconv.Itoa(int(b.Cluster().NodeID())), b.Durability())
	s.gauge("uptime_seconds", time.Since(b.Started()).Seconds())
	for _, a := range st.APIs {
		if a.Requests == 0 && a.Closed == 0 {
			continue
		}
		s.count("requests_total", float64(a.Requests), a.Name)
		s.count("request_errors_total", float64(a.Errors), a.Name)
		s.count("request_closed_total", float64(a.Closed), a.Name)
		s.count("request_bytes_total", float64(a.BytesIn), a.Name)
		s.count("response_bytes_total", float64(a.BytesOut), a.Name)
		s.histogram("request_seconds", unsigned(a.Latency.Buckets[:]), a.Latency.Sum.Seconds(), micros, a.Name)
	}
	s.count("produced_bytes_total", float64(st.ProducedBytes))
	s.count("produced_batches_total", float64(st.ProducedBatches))
	s.count("fetched_bytes_total", float64(st.FetchedBytes))
	s.count("fetch_parked_total", float64(st.FetchParked))
	s.count("fetch_woken_total", float64(st.FetchWoken))
	s.count("fetch_expired_total", float64(st.FetchExpired))
	s.count("produce_busy_total", float64(st.BusyParked))
	s.gauge("fetch_sessions", float64(st.FetchSessions))
	s.gauge("fetch_session_partitions", float64(st.FetchSessionPartitions))
	s.gauge("metadata_cache_answers", float64(st.MetadataAnswers))
	s.gauge("metadata_cache_bytes", float64(st.MetadataBytes))
	s.gauge("traces", float64(st.Traces))
	for _, l := range b.Limits() {
		s.gauge("limit", float64(l.Value), l.Name)
	}
	s.count("fetch_session_evictions_total", float64(st.FetchSessionEvictions))
	s.gauge("worker_queue", float64(st.WorkerQueue))
	s.gauge("workers_running", float64(st.WorkersRunning))
	s.gauge("topics", float64(st.Topics))
	s.gauge("partitions", float64(st.Partitions))
	s.count("panics_total", float64(st.Panics))
}

// clients tells what clients pushed last.
func (s sink) clients() {
	for _, m := range s.c.b.ClientMetrics() {
		s.gauge("client_metric", m.Value, m.ClientInstance, m.ClientID, m.Name, m.Labels)
	}
}

func (s sink) network() {
	st := s.c.b.Server().Stats()
	s.count("connections_accepted_total", float64(st.Accepted))
	s.count("connections_refused_total", float64(st.Refused))
	s.count("connections_not_admitted_total", float64(st.NotAdmitted))
	s.count("accept_pauses_total", float64(st.AcceptPauses))
	s.gauge("connections", float64(st.Open))
	for _, r := range netloop.CloseReasons() {
		s.count("connections_closed_total", float64(st.Closed[r]), r.String())
	}
	s.gauge("tls_handshakes", float64(st.Handshakes))
	s.count("network_in_bytes_total", float64(st.BytesIn))
	s.count("network_out_bytes_total", float64(st.BytesOut))
	s.count("sendfile_bytes_total", float64(st.SendfileBytes))
	s.count("copied_bytes_total", float64(st.CopiedBytes))
	s.count("reads_paused_total", float64(st.PausedReads))
	s.count("memory_waits_total", float64(st.MemoryWaits))
	s.count("cold_reads_total", float64(st.ColdReads))
	s.count("loop_stalls_total", float64(st.Stalls))
	s.count("loop_handovers_total", float64(st.HandOvers))
	s.gauge("in_flight_bytes", float64(st.InFlightBytes))
	s.gauge("mailbox_peak", float64(st.MailboxPeak))
	s.histogram("loop_turn_seconds", unsigned(st.Turns.Buckets[:]), st.Turns.Sum.Seconds(), micros)
	s.histogram("network_request_seconds", unsigned(st.Requests.Buckets[:]), st.Requests.Sum.Seconds(), micros)
}

func (s sink) log() {
	st := s.c.b.Store().Stats()
	s.count("log_appends_total", float64(st.Appends))
	s.count("log_append_bytes_total", float64(st.AppendBytes))
	s.count("log_duplicates_total", float64(st.Duplicates))
	s.count("commit_groups_total", float64(st.Groups))
	s.count("commits_led_total", float64(st.Led))
	s.count("journal_syncs_total", float64(st.Syncs))
	s.count("direct_syncs_total", float64(st.DirectSyncs))
	s.count("journal_bytes_total", float64(st.JournalBytes))
	powers := func(unit float64) func(int) float64 {
		return func(i int) float64 { return math.Exp2(float64(i)) * unit }
	}
	s.histogram("commit_group_size", st.GroupSize.Buckets[:], float64(st.GroupSize.Sum), powers(1))
	s.histogram("journal_sync_seconds", st.SyncTime.Buckets[:], float64(st.SyncTime.Sum)/1e9, powers(1e-9))
	s.count("append_busy_total", float64(st.Busy))
	s.gauge("commit_queue_bytes", float64(st.QueueBytes))
	s.gauge("commit_queue_entries", float64(st.QueueEntries))
	s.gauge("journal_ring_bytes", float64(st.RingBytes))
	s.gauge("journal_ring_held_bytes", float64(st.RingHeld))
	s.count("journal_stalls_total", float64(st.Stalls))
	s.count("journal_stall_seconds_total", st.StallTime.Seconds())
	s.gauge("journal_sync_running_seconds", st.SyncRunning.Seconds())
	s.count("stalled_syncs_total", float64(st.StalledSyncs))
	s.gauge("log_open_files", float64(st.OpenFiles))
	s.count("log_room_syncs_total", float64(st.RoomSyncs))
	s.gauge("log_segments", float64(st.Segments))
	s.gauge("logs", float64(st.Logs))
	s.count("log_recoveries_total", float64(st.Recoveries))
	s.count("log_damaged_total", float64(st.Damaged))
	s.count("checkpoints_total", float64(st.Checkpoints))
	s.gauge("checkpoint_seconds", st.CheckpointFor.Seconds())
	s.count("log_rolls_total", float64(st.Rolls))
	for _, d := range s.c.b.Store().Dirs() {
		online := 0.0
		if d.Online {
			online = 1
		}
		s.gauge("dir_online", online, d.Path)
		s.gauge("dir_free_bytes", float64(d.Free), d.Path)
	}
}

func (s sink) groups() {
	c := s.c.b.Groups()
	if c == nil {
		return
	}
	st := c.Stats()
	for at, n := range st.Groups {
		s.gauge("groups", float64(n), at.Type, at.State)
	}
	s.gauge("group_members", float64(st.Members))
	s.gauge("group_offsets", float64(st.Offsets))
	s.count("group_commits_total", float64(st.Commits))
	s.count("group_rebalances_total", float64(st.Rebalances))
	s.count("group_offsets_expired_total", float64(st.Expired))
	s.gauge("group_shards_loading", float64(st.Loading))
	s.gauge("group_queue", float64(st.Queued))
	now := time.Now()
	for _, g := range c.Groups() {
		for _, o := range g.Offsets {
			log := s.c.b.Log(o.Topic, o.Partition)
			if log == nil {
				continue
			}
			lag, age := lagOf(log, o, now)
			partition := strconv.Itoa(int(o.Partition))
			s.gauge("group_lag", float64(lag), g.ID, o.Topic, partition)
			s.gauge("group_lag_seconds", age.Seconds(), g.ID, o.Topic, partition)
		}
	}
}

// lagOf is how far a committed offset is behind in records, and while any wait
// the age of the commit: it grows when the group has stopped. How old the first
// of them is would take a read of the log for each.
func lagOf(log *logstore.Log, o group.CommittedOffset, now time.Time) (records int64, age time.Duration) {
	records = max(log.Offsets().HighWatermark-max(o.Offset, log.Offsets().LogStart), 0)
	if records == 0 {
		return 0, 0
	}
	return records, max(now.Sub(o.CommitTimestamp), 0)
}

func (s sink) transactions() {
	c := s.c.b.Transactions()
	if c == nil {
		return
	}
	st := c.Stats()
	s.gauge("transactional_ids", float64(st.IDs))
	s.count("transactions_committed_total", float64(st.Commits))
	s.count("transactions_aborted_total", float64(st.Aborts))
	s.count("transactions_fenced_total", float64(st.Fenced))
	s.count("transactions_timed_out_total", float64(st.TimedOut))
	s.count("transaction_requests_parked_total", float64(st.Parked))
	s.count("transaction_markers_total", float64(st.Markers))
	s.count("transaction_marker_retries_total", float64(st.MarkerRetries))
}

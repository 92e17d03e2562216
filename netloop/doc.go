// Package netloop serves Kafka connections from epoll event loops.
//
// It owns sockets, framing, ordering and back pressure, and knows nothing of
// Kafka beyond the four-byte length in front of a frame. A [Handler] receives
// whole frames on the connection's loop and answers each through its [Slot];
// answers leave in the order in which the requests arrived, whatever order
// they finish in.
//
// # Why not gnet.Run
//
// The loops stand on gnet's exported poller and socket packages. gnet.Run
// itself has no write-ready callback (so sendfile cannot resume), no read
// pause, an outbound buffer without a bound, and stops the whole engine when
// accept runs out of file descriptors. What runs here is gnet's epoll set and
// sockets with a connection of our own on top.
//
// The wait itself is ours too (poll.go), on the descriptor of gnet's poller.
// gnet's Polling looks a second time with timeout zero and calls runtime.Gosched
// before each sleep. Together that was 13 to 19 % of the broker's CPU at 10,000
// requests/s: the goroutine came back by way of Go's global queue on another
// thread, which somebody had to wake. Now a loop keeps its thread, which sleeps
// in epoll_wait and nowhere else. gnet's package makes and closes the poller and
// registers every descriptor.
//
// # Threads
//
// Every method says who may call it. "Loop only" means: from a Handler
// callback, a [Task] or a [Timer] of that connection's loop. Everything else
// is for any goroutine. Work reaches a loop from outside through [Loop.Post];
// nothing on a loop may wait: no fsync, no cold page, no lock that is held
// across I/O. What waits shortly as a rule may be an [Errand], for which the loop is
// lent (lend.go).
//
// TLS connections decrypt and encrypt on goroutines of their own, but their
// frames are handed to the handler on a loop as well, so that a handler needs
// to know of one threading rule only.
//
// # What is bounded, and by what
//
//   - Requests of a connection that are not answered and sent: SetMaxInFlight.
//   - Memory of requests: InFlightBytes in all, ConnInFlightBytes each, taken
//     before the body is read; see budget.go for the order of waiting and
//     sweep.go for connections that hold it for nothing.
//   - Bytes read ahead of a pause: an eighth of InFlightBytes, then 4 KiB each.
//   - Answers that a slow reader leaves: OutboundBytes of literal bytes; ranges
//     hold no memory, but for at most 512 KiB of small ones copied out.
//   - Connections, TLS handshakes, sockets that wait for one: Options.
//   - A mailbox: by its posters. Every task belongs to a request or connection.
//
// # Sending
//
// The slots are the outbound queue. Small ranges leave with the bytes around
// them by one sendmsg, many answers at a time, from [Range].Mem when it is hot
// and otherwise through a copy that was read without waiting (RWF_NOWAIT); large
// ones by sendfile, 512 KiB a turn. On loopback both cost the same from 4 to
// 512 KiB, so the bound of 16 KiB is the one measured on sender's CPU alone; on
// a real network sendfile spares the memory's bandwidth too.
//
// # First change? Read this
//
// A connection's life and its invariants: conn.go. Something is sent in the
// wrong order: slots.go, send.go. Reading stops and does not go on: mayRead in
// frame.go says why it may, settle in conn.go when it is asked. Lock order:
// budget.mu, tlsLink.mu, mailbox.mu; a loop holds none while it calls out.
//
// # File map
//
//	handler.go     Handler, Conn, Frame, Range: what a user of the package sees
//	options.go     Options and their defaults
//	server.go      Listen, Serve, Shutdown, counting connections
//	acceptor.go    accept, admission, spreading over loops, running out of descriptors
//	loop.go        the event loop and its turn; poll.go: the wait for events
//	mailbox.go     tasks from other goroutines; lend.go: work that may wait
//	timer.go       timers of a loop; wheel.go: the timer wheel
//	conn.go        a connection's life, its poller state, its end
//	frame.go       reading and assembling frames, admission, pause and resume
//	budget.go      memory of requests in flight; sweep.go: shedding who holds it
//	slots.go       the order of answers, Conn's methods
//	response.go    Response
//	send.go        writev, sendfile, copies
//	cold.go        workers that wait for the disk
//	tls.go         the TLS transport; tls_pipe.go: its socket; handshake.go: handshakes and their bounds
//	stats.go       counters; histogram.go: of durations
//	invariants_on.go, invariants_off.go  whether a breach of our own rules is a panic
package netloop

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
// accept runs out of file descriptors. What runs here is gnet's epoll loop
// with a connection of our own on top.
//
// # Threads
//
// Every method says who may call it. "Loop only" means: from a Handler
// callback, a [Task] or a [Timer] of that connection's loop. Everything else
// is for any goroutine. Work reaches a loop from outside through [Loop.Post];
// nothing on a loop may wait: no fsync, no cold page, no lock that is held
// across I/O.
//
// TLS connections decrypt and encrypt on goroutines of their own, but their
// frames are handed to the handler on a loop as well, so that a handler needs
// to know of one threading rule only.
package netloop

// Package broker does what each Kafka API means, one file per API key
// (00_produce.go …), and is the composition root: [Start] is the same code for
// the server, a Go test and embedded use. It keeps nothing global, so that two
// brokers fit in one process.
//
// # The way of a request
//
// netloop hands over a frame on the connection's loop. The session finds the
// API in the registry, refuses what is not served, and begins the request, or
// queues it behind one of the same connection that holds it back (session.go
// has the rule). A handler runs on the loop and must not wait; it answers at
// once, or later from whatever goroutine has the answer, or offloads the rest
// to a worker. Answers leave in the order of the requests.
//
// Produce and Fetch are parsed by codec's walkers, keep the frame for as long
// as something refers to it, and allocate nothing in the steady state. All
// other requests are decoded by kmsg from a copy, so that a coordinator may
// keep what it likes.
//
// # Who may call what
//
// A loop's state (requests, produces, fetches, sessions of connections) is
// touched on that loop only. Three doors lead there from outside: the mailbox
// that committers fill (onCommit), a request's reply, and a worker's end.
// Locks, each a leaf: a partition's list of waiters, a loop's mailbox, the
// cache of fetch sessions, the table of topics. topicMu is held across changes
// of topics, disk included, and only workers take it.
//
// # File map
//
//	broker.go goroutine.go options.go listeners.go settings.go storeoptions.go accept_rate.go
//	                    starting, stopping, configuration
//	registry.go request.go session.go loop.go lead.go worker.go loggers.go
//	                    what is served, and the way of a request
//	limits.go stats.go trace.go errcode.go
//	                    numbers, counters, where requests spend their time, Kafka's error codes
//	partition.go topics.go configs.go
//	                    topics and their logs: open, make, grow, delete, configure
//	00_produce.go produce_append.go produce_txn.go produce_old.go produce_repeats.go
//	busy.go recompress.go commit.go
//	                    the way in: walk, append, wait for the disk, answer
//	01_fetch.go fetch_old.go sessions.go purgatory.go
//	                    the way out: read, sessions, waiting
//	groups.go txns.go   the coordinators
//	security.go security_sasl.go security_admin.go login.go
//	                    certificates and mechanisms by Kafka's keys, the first
//	                    admin user, the way of a connection to its principal
//	throttle.go quotas.go audited.go audit_topic.go
//	                    quotas of a connection and of the APIs, audit lines and their topic
//	metadatacache.go    large Metadata answers, encoded
//	NN_name.go          one API each
package broker

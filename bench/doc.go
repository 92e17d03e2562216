// Package bench is the load tools: workloads, open and closed loops,
// comparisons, verification. It measures from outside, with kmsg and kgo, and
// imports nothing of the broker's, so that an error of the codec cannot cancel
// itself.
//
// File map:
//
//	options.go       the target, the load, the topic
//	produce.go       produce with kgo; the run that all tools share
//	produce_raw.go   produce with kmsg; frame.go: the encoded requests that it sends
//	raw.go           a connection that speaks kmsg; TLS and logins on it
//	consume.go       consume; reading a verified run back
//	consume_raw.go   consume with kmsg, by the heads of batches
//	e2e.go           produce and consume at once
//	drain.go         a backlog drained while producers go on
//	transactions.go  whole transactions, one after the other
//	commits.go       offset commits
//	rebalance.go     rebalances of many members, many groups of one
//	connections.go   idle connections, connections that come and go, partitions
//	omb.go, omb_phases.go, omb_workload.go  workload files of the OpenMessaging Benchmark
//	verify.go        records with sequence and checksum, and what became of them
//	feeder.go        the unique values that the checkers send
//	verify_group.go, verify_group_history.go  members that come, go and die; the checker
//	verify_txn.go, verify_txn_history.go      workers that carry in transactions; the checker
//	leaks.go         secrets in what a broker shows
//	mortal.go        a client that dies without a word
//	pace.go          when the records of an open loop are due
//	hist.go          HDR histograms; result.go, process.go, batch.go, ready.go
//
// Scripts: crash kills a broker under the checks, or cuts its power on the file
// system of powercut, diff compares the benchmarks of two commits, primitives
// those with and without vectors. beside tells what one client meets beside many
// others, with the load in a process of its own.
package bench

// Coordinators sends the same random script of group and transaction requests
// to Apache Kafka and to Chronik and compares the answers.
//
//	go run ./differential/coordinators -kafka HOST:PORT -chronik HOST:PORT -seed 1 -runs 10 -steps 300
//
// With DIFF_RUNS=40, bench/compat/differential/run starts both brokers and this.
//
// Both brokers start empty, with the same settings. A run uses its own groups and
// transactional ids, so that one pair of brokers serves many runs. A seed gives
// the same script, and -seed N repeats what failed.
//
// Requests go in lockstep: the next is sent when both brokers have answered
// the last or neither has, as for a join that waits for others. Member ids,
// producer ids and topic ids become the names that the script has for them;
// times, texts and addresses are not compared; lists are compared as sets. What
// is left must be equal, or be a row of explained.go, which names the source of
// Kafka that says why.
//
// File map:
//
//	main.go       flags, runs, what is printed
//	peer.go       a broker: connections, one request, its answer
//	lockstep.go   two brokers, one script; answers that come later
//	flatten.go    an answer as lines that can be compared
//	holdings.go   who holds how many partitions in each of them
//	explained.go  the differences that may be
//	script.go     choosing operations; groups.go, consumers.go, txns.go: them
package main

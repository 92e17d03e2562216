// Package differential sends the same requests to Apache Kafka and to Chronik
// and compares the answers field by field.
//
// A [Case] is a conversation: requests of kmsg, sent raw, each in a version
// that both brokers advertise. What differs from broker to broker by nature is
// made equal first: topic ids, producer and member ids, ports, the cluster id,
// throttle times, texts of messages (that there is one is compared). What a
// later request needs from an earlier answer goes through [Vars]. Lists are
// matched by the names and numbers in their elements, not by their order.
//
// The differences that may be are the rows of the tables in FINDINGS.md, each
// with the source that explains it; any other fails the test, and so does a
// row that nothing matches any more.
//
// run starts both brokers and the tests; DIFF_KAFKA and DIFF_CHRONIK are their
// addresses. Kafka's source has the last word: what it does is what clients know.
//
// tools runs Apache Kafka's command-line tools on both, by the lines of tools.txt,
// and compares what they print.
//
// File map:
//
//	case.go       cases, what they keep from answer to request
//	peer.go       a broker under test: connections, versions, asking
//	flatten.go    an answer as paths and values, made comparable
//	records.go    record batches in that form; records_build.go making them
//	compare.go    two answers side by side
//	findings.go   the table of what may differ
//	differential_test.go  both brokers and the loop over versions; setup_test.go what they start from
//	NN_*_test.go  cases, one API each; configs_test.go cluster_test.go security_test.go several
//	unused_test.go what FINDINGS.md allows and nothing needs
//	coordinators/ groups and transactions, by random scripts
package differential

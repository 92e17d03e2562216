// Package compare measures brokers beside each other: Apache Kafka as shipped,
// Apache Kafka with a sync before each ack, and Chronik in its three modes get
// the same load from the same client on the same machine, one after the other
// in rounds whose order turns, so that a change of the machine's mood meets all
// of them. What is said is the median of the rounds with the smallest and the
// largest; ratios are taken within a round. The limits of the machine (the
// disk's sync, its synced sequential rate, an echo over loopback) are measured
// in the same run.
//
// Files:
//
//	peer.go          a broker under measurement: start, readiness, restart, stop
//	secure.go        certificate and user of the peers behind SASL_SSL
//	limits.go        what disk and loopback can do
//	machine.go       what machine this is, and who else used it
//	cells.go         the usual loads
//	cells_groups.go  loads on coordinators, of many clients, of late consumers
//	cells_more.go    long and rare loads
//	compare.go       options, report, the whole of a comparison
//	rounds.go        the rounds: who runs when, what a failure ends
//	targets.go       what the figures are held against
//	report.go        Markdown: the whole report, and its summary
//	block.go         the place in a file that a tool writes
//	plot.go          SVG
package compare

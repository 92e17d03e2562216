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
//	peer.go     a broker under measurement: start, readiness, stop
//	limits.go   what disk and loopback can do
//	machine.go  what machine this is, and who else used it
//	cells.go    the loads
//	compare.go  the rounds
//	targets.go  what the figures are held against
//	report.go   Markdown, and its place in a file
//	plot.go     SVG
package compare

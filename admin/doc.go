// Package admin is the HTTP side: health, metrics, JSON views, the web page. It
// also sends the requests that the broker traces to an OpenTelemetry collector.
// It is the only importer of the Prometheus and OpenTelemetry libraries; other
// packages keep plain counters and times that it reads.
//
// # File map
//
//	server.go     addresses, authorisation, health
//	metrics.go    the table of metrics and where each comes from; collector.go: a scrape
//	views.go      JSON views; traces.go: of requests
//	spans.go      requests as OpenTelemetry spans
//	page.go       the web page
package admin

// Package admin is the HTTP side: health, metrics, JSON views, the web page.
// It is the only importer of the Prometheus and OpenTelemetry libraries; other
// packages keep plain counters that it reads.
package admin

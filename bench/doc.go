// Package bench is the load tools: workloads, open and closed loops,
// comparisons, verification. It measures from outside, with kmsg and kgo, and
// imports nothing of the broker's, so that an error of the codec cannot cancel
// itself.
package bench

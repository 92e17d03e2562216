//go:build invariants

package netloop

// invariants makes a breach of the package's own rules a panic.
const invariants = true

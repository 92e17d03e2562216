//go:build invariants

package logstore

import (
	"math/rand/v2"
	"runtime"
)

// between stands between two moves of an append that readers may not take for one.
// Here it gives the processor away now and then, so that a reader of the crash model
// looks just then: without it one of a million does.
func between() {
	if rand.IntN(4) == 0 {
		runtime.Gosched()
	}
}

//go:build race

package codec

// raceEnabled relaxes times: the race detector makes code ten times slower.
const raceEnabled = true

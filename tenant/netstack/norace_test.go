//go:build !race

package netstack

// underRace: the race detector is off.
const underRace = false

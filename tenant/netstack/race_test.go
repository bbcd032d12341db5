//go:build race

package netstack

// underRace: the race detector is on, which makes everything slow.
const underRace = true

//go:build !amd64 || purego

package mac

import "unsafe"

// Without the instructions none of these is called.

func sha1NI1(state *state, data *byte, blocks int) { panic("mac: no assembly") }

func sha1NI2(state *state, data *byte, state2 *state, data2 *byte, blocks int) {
	panic("mac: no assembly")
}

func sha256NI1(state *state, data *byte, blocks int) { panic("mac: no assembly") }

func sha256NI2(state *state, data *byte, state2 *state, data2 *byte, blocks int) {
	panic("mac: no assembly")
}

func sha1Wide(state *wideState, data *[laneCount]unsafe.Pointer, blocks int) {
	panic("mac: no assembly")
}

func sha256Wide(state *wideState, data *[laneCount]unsafe.Pointer, blocks int) {
	panic("mac: no assembly")
}

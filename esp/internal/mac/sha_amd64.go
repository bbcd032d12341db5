//go:build !purego

package mac

import "unsafe"

//go:generate go -C ../_asm run . mac -out ../mac/sha_amd64.s -pkg mac

// The kernels compress blocks, at least one. NI1 takes one message, NI2 two,
// Wide one in each lane.

//go:noescape
func sha1NI1(state *state, data *byte, blocks int)

//go:noescape
func sha1NI2(state *state, data *byte, state2 *state, data2 *byte, blocks int)

//go:noescape
func sha256NI1(state *state, data *byte, blocks int)

//go:noescape
func sha256NI2(state *state, data *byte, state2 *state, data2 *byte, blocks int)

//go:noescape
func sha1Wide(state *wideState, data *[laneCount]unsafe.Pointer, blocks int)

//go:noescape
func sha256Wide(state *wideState, data *[laneCount]unsafe.Pointer, blocks int)

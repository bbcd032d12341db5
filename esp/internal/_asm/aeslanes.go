package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Where things are in aescbc.Lanes, which asserts it.
const (
	laneCount = 16
	lanesSrc  = 0                      // [16]pointer
	lanesDst  = lanesSrc + 8*laneCount // [16]pointer
	lanesIV   = lanesDst + 8*laneCount // [16][16]byte
	lanesKeys = lanesIV + 16*laneCount // [15][16][16]byte: round, lane
	keyStride = laneCount * block      // from one round to the next
)

// encryptLanesNI encrypts the next blocks of four or eight messages side by
// side, and leaves the last blocks as their IVs.
func encryptLanesNI(width int) {
	TEXT(fmt.Sprintf("encryptLanesNI%d", width), NOSPLIT, "func(lanes *byte, rounds, blocks int)")
	lanes, rounds, blocks := Load(Param("lanes"), RAX).(GPPhysical), Load(Param("rounds"), RDX), Load(Param("blocks"), RCX)
	x := func(i int) VecPhysical { return []VecPhysical{X0, X1, X2, X3, X4, X5, X6, X7}[i] }
	off, ptr := RBX, RSI
	XORQ(off, off)
	for i := range width {
		VMOVDQU(Mem{Base: lanes, Disp: lanesIV + i*block}, x(i))
	}
	byRounds(rounds, func(n int, label func(string) string) {
		Label(label("step"))
		for i := range width {
			MOVQ(Mem{Base: lanes, Disp: lanesSrc + 8*i}, ptr)
			VMOVDQU(Mem{Base: ptr, Index: off, Scale: 1}, X8)
			VPXOR(Mem{Base: lanes, Disp: lanesKeys + i*block}, X8, X8)
			VPXOR(X8, x(i), x(i))
		}
		for r := 1; r <= n; r++ {
			for i := range width {
				key := Mem{Base: lanes, Disp: lanesKeys + r*keyStride + i*block}
				if r < n {
					VAESENC(key, x(i), x(i))
				} else {
					VAESENCLAST(key, x(i), x(i))
				}
			}
		}
		for i := range width {
			MOVQ(Mem{Base: lanes, Disp: lanesDst + 8*i}, ptr)
			VMOVDQU(x(i), Mem{Base: ptr, Index: off, Scale: 1})
		}
		ADDQ(Imm(block), off)
		DECQ(blocks)
		JNZ(LabelRef(label("step")))
		for i := range width {
			VMOVDQU(x(i), Mem{Base: lanes, Disp: lanesIV + i*block})
		}
	})
}

// encryptLanesVAES does the same with sixteen messages, four in a register.
func encryptLanesVAES() {
	TEXT("encryptLanesVAES", NOSPLIT, "func(lanes *byte, rounds, blocks int)")
	lanes, rounds, blocks := Load(Param("lanes"), RAX).(GPPhysical), Load(Param("rounds"), RDX), Load(Param("blocks"), RCX)
	off := RBX
	XORQ(off, off)
	for g := range 4 {
		VMOVDQU64(Mem{Base: lanes, Disp: lanesIV + g*64}, wide(g))
		VMOVDQU64(Mem{Base: lanes, Disp: lanesKeys + g*64}, wide(8+g))
	}
	key := func(r, g int) Mem { return Mem{Base: lanes, Disp: lanesKeys + r*keyStride + g*64} }
	byRounds(rounds, func(n int, label func(string) string) {
		Label(label("step"))
		for g := range 4 {
			gather(lanes, off, g)
			VPTERNLOGD(U8(0x96), wide(4+g), wide(8+g), wide(g))
		}
		for r := 1; r < n; r++ {
			for g := range 4 {
				VAESENC(key(r, g), wide(g), wide(g))
			}
		}
		for g := range 4 {
			VAESENCLAST(key(n, g), wide(g), wide(g))
		}
		for g := range 4 {
			scatter(lanes, off, g)
		}
		ADDQ(Imm(block), off)
		DECQ(blocks)
		JNZ(LabelRef(label("step")))
		for g := range 4 {
			VMOVDQU64(wide(g), Mem{Base: lanes, Disp: lanesIV + g*64})
		}
	})
}

// gather loads the next block of the four lanes of group g into register 4+g.
func gather(lanes, off GPPhysical, g int) {
	ptrs := []GPPhysical{RSI, RDI, R8, R9}
	for i, ptr := range ptrs {
		MOVQ(Mem{Base: lanes, Disp: lanesSrc + 8*(4*g+i)}, ptr)
	}
	z := wide(4 + g)
	VMOVDQU(Mem{Base: ptrs[0], Index: off, Scale: 1}, z.AsX())
	for i := 1; i < 4; i++ {
		VINSERTI32X4(Imm(uint64(i)), Mem{Base: ptrs[i], Index: off, Scale: 1}, z, z)
	}
}

// scatter stores the four blocks of register g to their lanes.
func scatter(lanes, off GPPhysical, g int) {
	ptrs := []GPPhysical{RSI, RDI, R8, R9}
	for i, ptr := range ptrs {
		MOVQ(Mem{Base: lanes, Disp: lanesDst + 8*(4*g+i)}, ptr)
	}
	z := wide(g)
	VMOVDQU(z.AsX(), Mem{Base: ptrs[0], Index: off, Scale: 1})
	for i := 1; i < 4; i++ {
		VEXTRACTI32X4(Imm(uint64(i)), z, Mem{Base: ptrs[i], Index: off, Scale: 1})
	}
}

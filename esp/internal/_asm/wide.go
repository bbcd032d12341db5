package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Sixteen messages side by side, one in each 32 bit lane of the registers. A
// state is an array of words, each for sixteen messages.
const (
	wideWord = 64 // bytes of one word of sixteen messages
	scratch  = 24 // the first register that is not state or schedule
)

// choose, parity and majority are the functions of both hashes as the truth
// tables of VPTERNLOGD(x, y, z).
const (
	choose   = 0xCA
	parity   = 0x96
	majority = 0xE8
)

// wideHash emits the frame of a compression: state in registers 0 to n-1, the
// schedule in 8 to 23.
func wideHash(name string, n int, rounds func(state []VecPhysical, w []VecPhysical)) {
	TEXT(name, NOSPLIT, "func(state *uint32, data *byte, blocks int)")
	state, data := Load(Param("state"), RAX).(GPPhysical), Load(Param("data"), RBX).(GPPhysical)
	blocks := Load(Param("blocks"), RCX)
	off := RDX
	XORQ(off, off)
	var s, w []VecPhysical
	for i := range n {
		s = append(s, wide(i))
		VMOVDQU32(Mem{Base: state, Disp: i * wideWord}, wide(i))
	}
	for i := range 16 {
		w = append(w, wide(8+i))
	}
	mask := wide(31)
	VMOVDQU32(swapWords(), mask)
	Label("block")
	for q := range 4 {
		transpose(data, off, q, w[4*q:4*q+4], mask)
	}
	rounds(s, w)
	for i := range n {
		m := Mem{Base: state, Disp: i * wideWord}
		VPADDD(m, wide(i), wide(i))
		VMOVDQU32(wide(i), m)
	}
	ADDQ(Imm(shaBlock), off)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// transpose loads words 4q to 4q+3 of all messages. Register i first holds the
// 16 bytes of messages i, i+4, i+8 and i+12.
func transpose(data, off GPPhysical, q int, w []VecPhysical, mask VecPhysical) {
	ptrs := []GPPhysical{RSI, RDI, R8, R9}
	var t [4]VecPhysical
	for i := range 4 {
		t[i] = wide(scratch + i)
		for j, p := range ptrs {
			MOVQ(Mem{Base: data, Disp: 8 * (i + 4*j)}, p)
		}
		VMOVDQU32(Mem{Base: ptrs[0], Index: off, Scale: 1, Disp: 16 * q}, w[i].AsX())
		for j := 1; j < 4; j++ {
			VINSERTI32X4(Imm(uint64(j)), Mem{Base: ptrs[j], Index: off, Scale: 1, Disp: 16 * q}, w[i], w[i])
		}
		VPSHUFB(mask, w[i], w[i])
	}
	VPUNPCKLDQ(w[1], w[0], t[0])
	VPUNPCKHDQ(w[1], w[0], t[1])
	VPUNPCKLDQ(w[3], w[2], t[2])
	VPUNPCKHDQ(w[3], w[2], t[3])
	VPUNPCKLQDQ(t[2], t[0], w[0])
	VPUNPCKHQDQ(t[2], t[0], w[1])
	VPUNPCKLQDQ(t[3], t[1], w[2])
	VPUNPCKHQDQ(t[3], t[1], w[3])
}

// ternary sets to to the function of x, y and z.
func ternary(function uint64, x, y, z, to VecPhysical) {
	VMOVDQA32(x, to)
	VPTERNLOGD(U8(function), z, y, to)
}

func sha1Wide() {
	k := words("sha1_k", sha1Constants())
	f := []uint64{choose, parity, majority, parity}
	wideHash("sha1Wide", 5, func(s, w []VecPhysical) {
		t1, t2 := wide(scratch), wide(scratch+1)
		for i := range 80 {
			a, b, c, d, e := s[(80-i)%5], s[(81-i)%5], s[(82-i)%5], s[(83-i)%5], s[(84-i)%5]
			word := w[i%16]
			if i >= 16 {
				VPTERNLOGD(U8(parity), w[(i+8)%16], w[(i+2)%16], word)
				VPXORD(w[(i+13)%16], word, word)
				VPROLD(Imm(1), word, word)
			}
			VPADDD_BCST(k.Offset(4*(i/20)), e, e)
			ternary(f[i/20], b, c, d, t1)
			VPADDD(word, e, e)
			VPROLD(Imm(5), a, t2)
			VPADDD(t1, e, e)
			VPROLD(Imm(30), b, b)
			VPADDD(t2, e, e)
		}
	})
}

func sha256Wide() {
	k := words("sha256_k", sha256Constants())
	wideHash("sha256Wide", 8, func(s, w []VecPhysical) {
		for i := range 64 {
			if i >= 16 {
				scheduleSHA256(i, w)
			}
			at := func(j int) VecPhysical { return s[(64+j-i)%8] }
			oneOfSHA256(at, w[i%16], k.Offset(4*i))
		}
	})
}

func scheduleSHA256(i int, w []VecPhysical) {
	word := w[i%16]
	small := func(from VecPhysical, a, b, shift uint64, t0, t1, t2 VecPhysical) {
		VPRORD(Imm(a), from, t0)
		VPRORD(Imm(b), from, t1)
		VPSRLD(Imm(shift), from, t2)
		VPTERNLOGD(U8(parity), t2, t1, t0)
	}
	VPADDD(w[(i+9)%16], word, word)
	small(w[(i+1)%16], 7, 18, 3, wide(scratch), wide(scratch+1), wide(scratch+2))
	small(w[(i+14)%16], 17, 19, 10, wide(scratch+3), wide(scratch+4), wide(scratch+5))
	VPADDD(wide(scratch), word, word)
	VPADDD(wide(scratch+3), word, word)
}

// oneOfSHA256 does a round; at names the working variables a to h by number.
func oneOfSHA256(at func(int) VecPhysical, word VecPhysical, k Mem) {
	a, b, c, d, e, f, g, h := at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)
	big := func(from VecPhysical, x, y, z uint64, t0, t1, t2 VecPhysical) {
		VPRORD(Imm(x), from, t0)
		VPRORD(Imm(y), from, t1)
		VPRORD(Imm(z), from, t2)
		VPTERNLOGD(U8(parity), t2, t1, t0)
	}
	t := func(i int) VecPhysical { return wide(scratch + i) }
	VPADDD(word, h, h)
	VPADDD_BCST(k, h, h)
	big(e, 6, 11, 25, t(0), t(1), t(2))
	ternary(choose, e, f, g, t(3))
	VPADDD(t(3), h, h)
	VPADDD(t(0), h, h)
	VPADDD(h, d, d)
	big(a, 2, 13, 22, t(4), t(5), t(6))
	ternary(majority, a, b, c, t(3))
	VPADDD(t(3), h, h)
	VPADDD(t(4), h, h)
}

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// emit writes instructions one after the other.
func emit(all []func()) {
	for _, f := range all {
		f()
	}
}

// weave writes both sequences, the second spread over the first.
func weave(a, b []func()) {
	done := 0
	for i, f := range a {
		f()
		for ; done < (i+1)*len(b)/len(a); done++ {
			b[done]()
		}
	}
}

// hashGroup multiplies the blocks of a group by as many powers.
func (g *gcm) hashGroup() (all []func()) {
	from := gcmPowers + 256 - g.group()
	for i := range 4 {
		all = append(all, g.multiply(g.width, hashedAt+i, from+i*int(g.width), i == 0)...)
	}
	return append(all, g.reduce(g.width)...)
}

// hashTail multiplies what measure found powers for.
func (g *gcm) hashTail(n int) []func() {
	all := append([]func(){func() { g.lengths(xmm(lengthsAt)) }}, g.multiply(16, lengthsAt, gcmFirst, true)...)
	for i := range n {
		all = append(all, g.multiplyAt(g.width, hashedAt+i, Mem{Base: g.at, Disp: i * int(g.width)}, false)...)
	}
	return append(all, g.reduce(g.width)...)
}

func (g *gcm) multiply(w width, i, disp int, first bool) []func() {
	return g.multiplyAt(w, i, Mem{Base: g.key, Disp: disp}, first)
}

// multiplyAt adds the products of register i and the powers, block by block, to
// the low, middle and high parts, or sets them to the first of all.
func (g *gcm) multiplyAt(w width, i int, powers Mem, first bool) []func() {
	low, middle, high, t, u := w.at(lowAt), w.at(middleAt), w.at(highAt), w.at(tempAt), w.at(tempAt+1)
	product := func(which uint64, to VecPhysical) func() {
		return func() { VPCLMULQDQ(Imm(which), powers, w.at(i), to) }
	}
	if first {
		return []func(){
			product(0x00, low), product(0x01, middle), product(0x10, t), product(0x11, high),
			func() { g.xor(t, middle, middle) },
		}
	}
	return []func(){
		product(0x00, t), func() { g.xor(t, low, low) },
		product(0x01, t), product(0x10, u), func() { g.xorTwo(t, u, middle) },
		product(0x11, t), func() { g.xor(t, high, high) },
	}
}

// reduce makes one block of the parts, in the register of the high one, all
// others of which are zero.
func (g *gcm) reduce(w width) []func() {
	low, middle, high, t := w.at(lowAt), w.at(middleAt), w.at(highAt), w.at(tempAt)
	fold := func(from, to VecPhysical) []func() {
		return []func(){
			func() { VPCLMULQDQ(Imm(0x10), g.poly(w), from, t) },
			func() { VPSHUFD(Imm(0x4E), from, from) },
			func() { g.xorTwo(t, from, to) },
		}
	}
	all := append(fold(low, middle), fold(middle, high)...)
	if w == 64 {
		all = append(all,
			func() { VEXTRACTI64X4(Imm(1), high, t.AsY()) },
			func() { VPXOR(t.AsY(), high.AsY(), high.AsY()) })
	}
	if w >= 32 {
		all = append(all,
			func() { VEXTRACTI128(Imm(1), high.AsY(), t.AsX()) },
			func() { VPXOR(t.AsX(), high.AsX(), high.AsX()) })
	}
	return all
}

// begunHash adds what was hashed before to the first block.
func (g *gcm) begunHash() {
	g.xor(g.width.at(highAt), g.width.at(hashedAt), g.width.at(hashedAt))
}

// The same instructions have other names where registers are wide, or many.

func (g *gcm) xor(a Op, b, to VecPhysical) {
	if g.wide() {
		VPXORQ(a, b, to)
	} else {
		VPXOR(a, b, to)
	}
}

func (g *gcm) xorTwo(a, b, to VecPhysical) {
	if g.wide() {
		VPTERNLOGQ(U8(parity), a, b, to)
		return
	}
	VPXOR(a, to, to)
	VPXOR(b, to, to)
}

func (g *gcm) move(from, to Op) {
	if g.wide() {
		VMOVDQU64(from, to)
	} else {
		VMOVDQU(from, to)
	}
}

// turn turns the bytes of all blocks round.
func (g *gcm) turn(from, to VecPhysical) {
	if g.wide() {
		VPSHUFB(wide(turnAt), from, to)
	} else {
		VPSHUFB(words("gcm_turn", []uint32{0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203, 0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203}), from, to)
	}
}

// poly is the polynomial for registers of a width.
func (g *gcm) poly(w width) Op {
	if g.wide() {
		return w.at(polyAt)
	}
	return polynomial()
}

// polynomial is that of the hash (NIST SP 800-38D, section 6.3), as a number whose
// bits are turned round, twice.
func polynomial() Mem {
	return words("gcm_poly", []uint32{1, 0, 0, 0xC2000000, 1, 0, 0, 0xC2000000})
}

// hashKeys encrypts a block of zeroes to the hash key, and makes its powers, all
// of them times x, which is what multiplying numbers whose bits are turned round
// leaves out.
func hashKeys() {
	TEXT("hashKeys", NOSPLIT, "func(k *byte)")
	g := &gcm{width: 32, key: RAX, at: RCX, tmp: RDX}
	Load(Param("k"), g.key)
	h, t, u := xmm(hashedAt), xmm(tempAt), xmm(streamAt)
	MOVBLZX(Mem{Base: g.key, Disp: gcmRounds}, g.tmp.As32())
	LEAQ(Mem{Base: g.key, Disp: gcmKeys}, g.at)
	VMOVDQU(Mem{Base: g.at}, h)
	Label("round")
	ADDQ(Imm(block), g.at)
	DECL(g.tmp.As32())
	JEQ(LabelRef("last"))
	VAESENC(Mem{Base: g.at}, h, h)
	JMP(LabelRef("round"))
	Label("last")
	VAESENCLAST(Mem{Base: g.at}, h, h)
	VPSHUFB(swapAll(), h, h)
	// Twice the number, and the polynomial if that is too long.
	VPSHUFD(Imm(0xFF), h, t)
	VPSRAD(Imm(31), t, t)
	VPAND(polynomial(), t, t)
	VPSRLQ(Imm(63), h, u)
	VPSLLDQ(Imm(8), u, u)
	VPADDQ(h, h, h)
	VPXOR(u, h, h)
	VPXOR(t, h, h)
	LEAQ(Mem{Base: g.key, Disp: gcmFirst}, g.at)
	VMOVDQU(h, Mem{Base: g.at})
	Label("power")
	emit(g.multiply(16, hashedAt, gcmFirst, true))
	emit(g.reduce(16))
	VMOVDQA(xmm(highAt), h)
	SUBQ(Imm(block), g.at)
	VMOVDQU(h, Mem{Base: g.at})
	CMPQ(g.at, g.key)
	JNE(LabelRef("power"))
	RET()
}

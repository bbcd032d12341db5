package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// vector is how much of the registers is used.
type vector func(i int) VecPhysical

func xmm(i int) VecPhysical { return wide(i).AsX().(VecPhysical) }
func zmm(i int) VecPhysical { return wide(i) }

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

// hashGroup multiplies sixteen blocks by the sixteen powers.
func (g *gcm) hashGroup() (all []func()) {
	for i := range 4 {
		all = append(all, g.multiply(zmm, hashedAt+i, gcmPowers+64*i, i == 0)...)
	}
	return append(all, g.reduce(zmm)...)
}

func (g *gcm) multiply(v vector, i, disp int, first bool) []func() {
	return g.multiplyAt(v, i, Mem{Base: g.key, Disp: disp}, first)
}

// multiplyAt adds the products of register i and the powers, block by block, to
// the low, middle and high parts, or sets them to the first of all.
func (g *gcm) multiplyAt(v vector, i int, powers Mem, first bool) []func() {
	low, middle, high, t, u := v(lowAt), v(middleAt), v(highAt), v(tempAt), v(tempAt+1)
	product := func(which uint64, to VecPhysical) func() {
		return func() { VPCLMULQDQ(Imm(which), powers, v(i), to) }
	}
	if first {
		return []func(){
			product(0x00, low), product(0x01, middle), product(0x10, t), product(0x11, high),
			func() { VPXORQ(t, middle, middle) },
		}
	}
	low, middle, high = wide(lowAt), wide(middleAt), wide(highAt)
	return []func(){
		product(0x00, t), func() { VPXORQ(t.AsZ(), low, low) },
		product(0x01, t), product(0x10, u), func() { VPTERNLOGQ(U8(parity), t.AsZ(), u.AsZ(), middle) },
		product(0x11, t), func() { VPXORQ(t.AsZ(), high, high) },
	}
}

// reduce makes one block of the parts, in the register of the high one, all
// others of which are zero.
func (g *gcm) reduce(v vector) []func() {
	low, middle, high, t, poly := v(lowAt), v(middleAt), v(highAt), v(tempAt), v(polyAt)
	fold := func(from, to VecPhysical) []func() {
		return []func(){
			func() { VPCLMULQDQ(Imm(0x10), poly, from, t) },
			func() { VPSHUFD(Imm(0x4E), from, from) },
			func() { VPTERNLOGQ(U8(parity), t, from, to) },
		}
	}
	all := append(fold(low, middle), fold(middle, high)...)
	if high != wide(highAt) {
		return all
	}
	return append(all,
		func() { VEXTRACTI64X4(Imm(1), high, t.AsY()) },
		func() { VPXORQ(t.AsY(), high.AsY(), high.AsY()) },
		func() { VEXTRACTI32X4(Imm(1), high.AsY(), t.AsX()) },
		func() { VPXORQ(t.AsX(), high.AsX(), high.AsX()) })
}

// hashKeys encrypts a block of zeroes to the hash key, and makes its powers, all
// of them times x, which is what multiplying numbers whose bits are turned round
// leaves out.
func hashKeys() {
	TEXT("hashKeys", NOSPLIT, "func(k *byte)")
	g := &gcm{key: RAX, at: RCX, tmp: RDX}
	Load(Param("k"), g.key)
	h, t, u := wide(hashedAt).AsX(), wide(tempAt).AsX(), wide(streamAt).AsX()
	VMOVDQU(words("gcm_poly", polynomial()), wide(polyAt).AsX())
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
	VPAND(wide(polyAt).AsX(), t, t)
	VPSRLQ(Imm(63), h, u)
	VPSLLDQ(Imm(8), u, u)
	VPADDQ(h, h, h)
	VPXOR(u, h, h)
	VPXOR(t, h, h)
	VMOVDQU(h, Mem{Base: g.key, Disp: gcmFirst})
	LEAQ(Mem{Base: g.key, Disp: gcmFirst}, g.at)
	Label("power")
	emit(g.multiply(xmm, hashedAt, gcmFirst, true))
	emit(g.reduce(xmm))
	VMOVDQA64(wide(highAt).AsX(), h)
	SUBQ(Imm(block), g.at)
	VMOVDQU(h, Mem{Base: g.at})
	CMPQ(g.at, g.key)
	JNE(LabelRef("power"))
	RET()
}

func polynomial() []uint32 { return []uint32{1, 0, 0, 0xC2000000} }

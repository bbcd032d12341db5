package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// tails does what is left, less than a group. If a group is still to be hashed,
// that is done meanwhile.
func (g *gcm) tails(pending bool) {
	sizes := []string{1: g.label("tail"), 2: g.label("tail"), 3: g.label("tail"), 4: g.label("tail")}
	some := g.label("some")
	TESTQ(g.left, g.left)
	JNE(LabelRef(some))
	if pending {
		emit(g.hashGroup())
	}
	JMP(LabelRef("lengths"))
	Label(some)
	for n := 1; n < 4; n++ {
		CMPQ(g.left, U32(uint64(n*int(g.width))))
		JLS(LabelRef(sizes[n]))
	}
	for n := 4; n > 0; n-- {
		Label(sizes[n])
		g.measure(n)
		if g.open {
			g.openTail(n)
		} else {
			g.sealTail(n, pending)
		}
	}
}

// sealTail does the last n registers, the last of which may be a part of one, and
// hashes the lengths with them.
func (g *gcm) sealTail(n int, pending bool) {
	var hash []func()
	if pending {
		hash = g.hashGroup()
	}
	weave(g.stream(n), hash)
	g.finishTail(n)
	g.begunHash()
	g.unlessTooMany(n, func() { emit(g.hashGroup()) })
	emit(g.hashTail(n))
	g.skip()
	JMP(LabelRef("tag"))
}

// openTail does the same the other way round.
func (g *gcm) openTail(n int) {
	for i := range n {
		c := g.width.at(hashedAt + i)
		g.load(i, i == n-1, c)
		g.turn(c, c)
	}
	g.begunHash()
	decrypt := func(hash []func()) {
		weave(g.stream(n), hash)
		g.finishTail(n)
	}
	g.unlessTooMany(n, func() { decrypt(g.hashGroup()) })
	decrypt(g.hashTail(n))
	g.skip()
	JMP(LabelRef("tag"))
}

// unlessTooMany leads around what is done if the lengths have to be hashed on
// their own: sixteen blocks and they are one more than there are powers for.
func (g *gcm) unlessTooMany(n int, otherwise func()) {
	if n*int(g.width) < gcmPowers+256 {
		return
	}
	few := g.label("few")
	CMPQ(g.left, U32(240))
	JLS(LabelRef(few))
	otherwise()
	g.skip()
	JMP(LabelRef("lengths"))
	Label(few)
}

// skip goes to the end of the message.
func (g *gcm) skip() {
	ADDQ(g.left, g.src)
	ADDQ(g.left, g.dst)
}

// measure finds what masks the bytes in the last of n registers, and where the
// powers begin: one for each block, whole or not, and one for the lengths.
func (g *gcm) measure(n int) {
	LEAQ(Mem{Base: g.left, Disp: -(n - 1) * int(g.width)}, g.tmp)
	if g.wide() {
		MOVQ(I32(-1), g.at)
		BZHIQ(g.tmp, g.at, g.at)
		KMOVQ(g.at, K1)
	} else {
		LEAQ(byteMasks().Offset(32), g.ends)
		SUBQ(g.tmp, g.ends)
	}
	LEAQ(Mem{Base: g.left, Disp: block - 1}, g.tmp)
	ANDQ(I8(-block), g.tmp)
	LEAQ(Mem{Base: g.key, Disp: gcmFirst}, g.at)
	SUBQ(g.tmp, g.at)
}

// byteMasks has, n bytes before its middle, a mask of the first n bytes.
func byteMasks() Mem {
	const all = 0xFFFFFFFF
	return words("gcm_masks", []uint32{all, all, all, all, all, all, all, all, 0, 0, 0, 0, 0, 0, 0, 0})
}

// load loads a register of the tail.
func (g *gcm) load(i int, last bool, to VecPhysical) {
	from := Mem{Base: g.src, Disp: i * int(g.width)}
	switch {
	case !last:
		g.move(from, to)
	case g.wide():
		VMOVDQU8_Z(from, K1, to)
	default:
		VMOVDQU(Mem{Base: g.ends}, g.width.at(maskAt))
		VPMASKMOVD(from, g.width.at(maskAt), to)
		g.loadBytes(to)
	}
}

// store stores the last register of the tail, and clears what is not of it.
func (g *gcm) store(i int, s VecPhysical) {
	to := Mem{Base: g.dst, Disp: i * int(g.width)}
	if g.wide() {
		VMOVDQU8(s, K1, to)
		VMOVDQU8_Z(s, K1, s)
		return
	}
	VMOVDQU(Mem{Base: g.ends}, g.width.at(maskAt))
	VPMASKMOVD(s, g.width.at(maskAt), to)
	g.storeBytes(s)
	VPAND(g.width.at(maskAt), s, s)
}

// loadBytes adds up to three bytes behind the last whole word.
func (g *gcm) loadBytes(to VecPhysical) {
	whole, next := g.label("whole"), g.label("byte")
	at, count := g.nonce, g.aad
	mask, word := g.width.at(maskAt), g.width.at(oneKeyAt)
	MOVQ(g.left, count)
	ANDQ(Imm(3), count)
	JEQ(LabelRef(whole))
	LEAQ(Mem{Base: g.src, Index: g.left, Scale: 1}, at)
	XORL(g.tmp.As32(), g.tmp.As32())
	Label(next)
	DECQ(at)
	SHLL(Imm(8), g.tmp.As32())
	MOVB(Mem{Base: at}, g.tmp.As8())
	DECQ(count)
	JNE(LabelRef(next))
	VMOVD(g.tmp.As32(), word.AsX())
	VPBROADCASTD(word.AsX(), word)
	VPAND(mask, word, word)
	VPSRAD(Imm(31), mask, mask) // the whole words, which are there already
	VPANDN(word, mask, word)
	VPOR(word, to, to)
	Label(whole)
}

// storeBytes stores up to three bytes behind the last whole word.
func (g *gcm) storeBytes(s VecPhysical) {
	whole, next := g.label("whole"), g.label("byte")
	at, count := g.nonce, g.aad
	word := g.width.at(tempAt)
	MOVQ(g.left, count)
	ANDQ(Imm(3), count)
	JEQ(LabelRef(whole))
	MOVQ(g.left, at)
	SHRQ(Imm(2), at)
	ANDQ(Imm(7), at)
	VMOVD(at.As32(), word.AsX())
	VPERMD(s, word, word)
	VMOVD(word.AsX(), g.tmp.As32())
	LEAQ(Mem{Base: g.dst, Index: g.left, Scale: 1}, at)
	SUBQ(count, at)
	Label(next)
	MOVB(g.tmp.As8(), Mem{Base: at})
	SHRL(Imm(8), g.tmp.As32())
	INCQ(at)
	DECQ(count)
	JNE(LabelRef(next))
	Label(whole)
}

// finishTail does the last rounds of the n registers of the tail.
func (g *gcm) finishTail(n int) {
	g.moreRounds(g.width, streamAt, n)
	for i := range n {
		s, t := g.width.at(streamAt+i), g.width.at(tempAt)
		g.load(i, i == n-1, t)
		g.xor(g.lastKey(), t, t)
		VAESENCLAST(t, s, s)
		if i == n-1 {
			g.store(i, s)
		} else {
			g.move(s, Mem{Base: g.dst, Disp: i * int(g.width)})
		}
		if !g.open {
			g.turn(s, g.width.at(hashedAt+i))
		}
	}
}

// lengths is the last block that is hashed, the lengths in bits.
func (g *gcm) lengths(x VecPhysical) {
	SHLQ(Imm(3), g.total)
	SHLQ(Imm(3), g.aadLen)
	VMOVQ(g.total, x)
	VPINSRQ(Imm(1), g.aadLen, x, x)
}

// tag writes the tag, or compares it.
func (g *gcm) tag() {
	x, t, mask := xmm(highAt), xmm(tempAt), xmm(maskAt)
	MOVBLZX(Mem{Base: g.key, Disp: gcmTag}, g.tmp.As32())
	LEAQ(byteMasks().Offset(32), g.at)
	SUBQ(g.tmp, g.at)
	VMOVDQU(Mem{Base: g.at}, mask)
	VPSHUFB(swapAll(), x, x)
	g.xor(xmm(g.first), x, x)
	if !g.open {
		VPMASKMOVD(x, mask, Mem{Base: g.dst})
		return
	}
	VPMASKMOVD(Mem{Base: g.src}, mask, t)
	VPXOR(t, x, x)
	XORL(g.tmp.As32(), g.tmp.As32())
	VPTEST(mask, x)
	SETNE(g.tmp.As8())
	Store(g.tmp.As32(), ReturnIndex(0))
}

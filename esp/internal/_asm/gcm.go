package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Where things are in aesgcm.Key, which asserts it.
const (
	gcmPowers = 0               // [16][16]byte: of the hash key, the highest first
	gcmFirst  = gcmPowers + 240 // the hash key itself
	gcmKeys   = gcmPowers + 256 // [15][16]byte
	gcmRounds = gcmKeys + 240   // byte
	gcmTag    = gcmRounds + 1   // byte: how long tags are
)

// gcm is the registers of one message.
type gcm struct {
	open   bool
	labels int

	key, dst, src, left, total GPPhysical
	nonce, aad, aadLen         GPPhysical
	at, tmp                    GPPhysical
	rounds                     Register
}

// Registers of 512 bits, but for the hash of a group (four registers of four blocks),
// which is in that of the high half when it is done. All that is hashed has its
// bytes turned round, so that a block is a number.
const (
	streamAt  = 0 // to 3: counters, then what they are encrypted to
	hashedAt  = 4 // to 7: ciphertext to be hashed
	lowAt     = 8 // to 10: a product that is not reduced
	middleAt  = 9
	highAt    = 10
	tempAt    = 11 // and 12
	lengthsAt = 12
	turnAt    = 13
	counterAt = 14 // the next four counters, as numbers
	polyAt    = 15
	keyAt     = 16 // to 29, the keys but for the last
	lastKeyAt = 30
	firstAt   = 31 // the counter block that encrypts the tag
)

// gcm512 is sealing or opening one message (NIST SP 800-38D, sections 7.1 and 7.2)
// with sixteen blocks at a time. The associated data is 8 or 12 bytes. The tag is
// behind the ciphertext.
func gcm512(open bool) {
	name, result := "seal512", ""
	if open {
		name, result = "open512", " uint32"
	}
	TEXT(name, NOSPLIT, "func(k, dst, src *byte, n int, nonce, aad *byte, aadLen int)"+result)
	g := &gcm{open: open, key: RAX, dst: RDI, src: RSI, left: RCX, total: R10, nonce: RBX, aad: R8, aadLen: R9, at: R11, tmp: R12, rounds: EDX}
	Load(Param("k"), g.key)
	Load(Param("nonce"), g.nonce)
	Load(Param("aad"), g.aad)
	Load(Param("aadLen"), g.aadLen)
	Load(Param("dst"), g.dst)
	Load(Param("src"), g.src)
	Load(Param("n"), g.left)
	MOVBLZX(Mem{Base: g.key, Disp: gcmRounds}, g.rounds)
	g.begin()
	g.message()
	VZEROUPPER()
	RET()
}

// label makes a name that no other has.
func (g *gcm) label(name string) string {
	g.labels++
	return fmt.Sprintf("%s%d", name, g.labels)
}

// begin makes the first counter block of the nonce, and the four behind it.
func (g *gcm) begin() {
	first, counter := wide(firstAt), wide(counterAt)
	x := counter.AsX()
	VBROADCASTI32X4(swapAll(), wide(turnAt))
	VBROADCASTI32X4(words("gcm_poly", polynomial()), wide(polyAt))
	MOVL(U32(0x01000000), g.tmp.As32())
	VMOVD(Mem{Base: g.nonce}, x)
	VPINSRD(Imm(1), Mem{Base: g.nonce, Disp: 4}, x, x)
	VPINSRD(Imm(2), Mem{Base: g.nonce, Disp: 8}, x, x)
	VPINSRD(Imm(3), g.tmp.As32(), x, x)
	VMOVDQA64(x, first.AsX())
	VPSHUFB(wide(turnAt).AsX(), x, x)
	VSHUFI64X2(Imm(0), counter, counter, counter)
	VPADDD(words("gcm_first", []uint32{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0}), counter, counter)
	MOVQ(g.left, g.total)
	// The associated data is one block, whose hash is the beginning.
	a := wide(hashedAt).AsX()
	VMOVD(Mem{Base: g.aad}, a)
	VPINSRD(Imm(1), Mem{Base: g.aad, Disp: 4}, a, a)
	CMPQ(g.aadLen, Imm(8))
	JEQ(LabelRef("aad"))
	VPINSRD(Imm(2), Mem{Base: g.aad, Disp: 8}, a, a)
	Label("aad")
	VPSHUFB(wide(turnAt).AsX(), a, a)
	emit(g.multiply(xmm, hashedAt, gcmFirst, true))
	emit(g.reduce(xmm))
}

func (g *gcm) message() {
	for r := range 10 {
		VBROADCASTI32X4(Mem{Base: g.key, Disp: gcmKeys + r*block}, wide(keyAt+r))
	}
	last := g.label("keys")
	CMPL(g.rounds, Imm(12))
	JCS(LabelRef(last))
	for r := 10; r < 14; r++ {
		VBROADCASTI32X4(Mem{Base: g.key, Disp: gcmKeys + r*block}, wide(keyAt+r))
	}
	Label(last)
	MOVL(g.rounds, g.tmp.As32())
	SHLL(Imm(4), g.tmp.As32())
	VBROADCASTI32X4(Mem{Base: g.key, Index: g.tmp, Scale: 1, Disp: gcmKeys}, wide(lastKeyAt))
	g.encryptFirst()
	few := g.label("few")
	CMPQ(g.left, U32(256))
	JCS(LabelRef(few))
	if g.open {
		g.openGroups()
	} else {
		g.sealGroups()
		g.tails(true)
	}
	Label(few)
	g.tails(false)
	Label("lengths")
	x := xmm(hashedAt)
	g.lengths(x)
	VPXORQ(xmm(highAt), x, x)
	emit(g.multiply(xmm, hashedAt, gcmFirst, true))
	emit(g.reduce(xmm))
	Label("tag")
	g.tag()
}

// encryptFirst encrypts the block that the tag is encrypted with.
func (g *gcm) encryptFirst() {
	x := xmm(firstAt)
	VPXORQ(xmm(keyAt), x, x)
	emit(g.encrypt(xmm, firstAt, 1, 1, 10))
	g.moreRounds(xmm, firstAt, 1)
	VAESENCLAST(xmm(lastKeyAt), x, x)
}

// sealGroups hashes a group while the next one is encrypted.
func (g *gcm) sealGroups() {
	loop, last := g.label("group"), g.label("last")
	emit(g.stream(4))
	g.moreRounds(zmm, streamAt, 4)
	g.finishGroup()
	CMPQ(g.left, U32(256))
	JCS(LabelRef(last))
	Label(loop)
	weave(g.stream(4), g.hashGroup())
	g.moreRounds(zmm, streamAt, 4)
	g.finishGroup()
	CMPQ(g.left, U32(256))
	JCC(LabelRef(loop))
	Label(last)
}

// openGroups hashes a group while it is decrypted.
func (g *gcm) openGroups() {
	loop := g.label("group")
	Label(loop)
	for i := range 4 {
		c := wide(hashedAt + i)
		VMOVDQU64(Mem{Base: g.src, Disp: 64 * i}, c)
		VPSHUFB(wide(turnAt), c, c)
	}
	VPXORQ(wide(highAt), wide(hashedAt), wide(hashedAt))
	weave(g.stream(4), g.hashGroup())
	g.moreRounds(zmm, streamAt, 4)
	g.finishGroup()
	CMPQ(g.left, U32(256))
	JCC(LabelRef(loop))
}

// stream begins to encrypt the next n times four counters: the rounds that every
// key has. moreRounds does the others, but for the last.
func (g *gcm) stream(n int) (all []func()) {
	counter := wide(counterAt)
	for i := range n {
		all = append(all, func() {
			VPSHUFB(wide(turnAt), counter, wide(streamAt+i))
			VPADDD(words("gcm_four", []uint32{4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0}), counter, counter)
			VPXORQ(wide(keyAt), wide(streamAt+i), wide(streamAt+i))
		})
	}
	return append(all, g.encrypt(zmm, streamAt, n, 1, 10)...)
}

// encrypt does rounds of n registers from the one at on.
func (g *gcm) encrypt(v vector, at, n, from, to int) (all []func()) {
	for r := from; r < to; r++ {
		for i := range n {
			all = append(all, func() { VAESENC(v(keyAt+r), v(at+i), v(at+i)) })
		}
	}
	return all
}

// moreRounds does the rounds that only keys of 192 and 256 bits have.
func (g *gcm) moreRounds(v vector, at, n int) {
	last := g.label("last")
	CMPL(g.rounds, Imm(12))
	JCS(LabelRef(last))
	emit(g.encrypt(v, at, n, 10, 12))
	JEQ(LabelRef(last))
	emit(g.encrypt(v, at, n, 12, 14))
	Label(last)
}

// finishGroup does the last round, in which the message comes in.
func (g *gcm) finishGroup() {
	for i := range 4 {
		s, t := wide(streamAt+i), wide(tempAt+i%2)
		VPXORQ(Mem{Base: g.src, Disp: 64 * i}, wide(lastKeyAt), t)
		VAESENCLAST(t, s, s)
		VMOVDQU64(s, Mem{Base: g.dst, Disp: 64 * i})
		if !g.open {
			VPSHUFB(wide(turnAt), s, wide(hashedAt+i))
		}
	}
	if !g.open {
		VPXORQ(wide(highAt), wide(hashedAt), wide(hashedAt))
	}
	ADDQ(U32(256), g.src)
	ADDQ(U32(256), g.dst)
	SUBQ(U32(256), g.left)
}

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
		CMPQ(g.left, U32(uint64(64*n)))
		JLS(LabelRef(sizes[n]))
	}
	for n := 4; n > 0; n-- {
		Label(sizes[n])
		g.masks(n)
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
	g.moreRounds(zmm, streamAt, n)
	for i := range n {
		g.finishTail(i, i == n-1)
	}
	VPXORQ(wide(highAt), wide(hashedAt), wide(hashedAt))
	if n == 4 {
		g.unlessTooMany(func() { emit(g.hashGroup()) })
	}
	emit(g.hashTail(n))
	g.skip()
	JMP(LabelRef("tag"))
}

// openTail does the same the other way round.
func (g *gcm) openTail(n int) {
	for i := range n {
		c := wide(hashedAt + i)
		g.load(i, i == n-1, c)
		VPSHUFB(wide(turnAt), c, c)
	}
	VPXORQ(wide(highAt), wide(hashedAt), wide(hashedAt))
	finish := func(hash []func()) {
		weave(g.stream(n), hash)
		g.moreRounds(zmm, streamAt, n)
		for i := range n {
			g.finishTail(i, i == n-1)
		}
	}
	if n == 4 {
		g.unlessTooMany(func() { finish(g.hashGroup()) })
	}
	finish(g.hashTail(n))
	g.skip()
	JMP(LabelRef("tag"))
}

// unlessTooMany leads around what is done if the lengths have to be hashed on
// their own: sixteen blocks and they are one more than there are powers for.
func (g *gcm) unlessTooMany(otherwise func()) {
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

// hashTail multiplies what masks found powers for.
func (g *gcm) hashTail(n int) []func() {
	all := append([]func(){func() { g.lengths(xmm(lengthsAt)) }}, g.multiply(xmm, lengthsAt, gcmFirst, true)...)
	for i := range n {
		all = append(all, g.multiplyAt(zmm, hashedAt+i, Mem{Base: g.at, Disp: 64 * i}, false)...)
	}
	return append(all, g.reduce(zmm)...)
}

// masks sets the mask of the bytes in the last register, and where the powers
// begin: one for each block, whole or not, and one for the lengths.
func (g *gcm) masks(n int) {
	LEAQ(Mem{Base: g.left, Disp: -64 * (n - 1)}, g.tmp)
	MOVQ(I32(-1), g.at)
	BZHIQ(g.tmp, g.at, g.at)
	KMOVQ(g.at, K1)
	LEAQ(Mem{Base: g.left, Disp: 15}, g.tmp)
	ANDQ(I8(-16), g.tmp)
	LEAQ(Mem{Base: g.key, Disp: gcmFirst}, g.at)
	SUBQ(g.tmp, g.at)
}

// load loads a register of the tail.
func (g *gcm) load(i int, last bool, to VecPhysical) {
	from := Mem{Base: g.src, Disp: 64 * i}
	if last {
		VMOVDQU8_Z(from, K1, to)
		return
	}
	VMOVDQU64(from, to)
}

// finishTail does the last round of a register of the tail.
func (g *gcm) finishTail(i int, last bool) {
	s, t, c := wide(streamAt+i), wide(tempAt), wide(hashedAt+i)
	to := Mem{Base: g.dst, Disp: 64 * i}
	g.load(i, last, t)
	VPXORQ(wide(lastKeyAt), t, t)
	VAESENCLAST(t, s, s)
	if last {
		VMOVDQU8(s, K1, to)
		VMOVDQU8_Z(s, K1, s)
	} else {
		VMOVDQU64(s, to)
	}
	if !g.open {
		VPSHUFB(wide(turnAt), s, c)
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
	x, t := wide(highAt).AsX(), wide(tempAt).AsX()
	MOVBLZX(Mem{Base: g.key, Disp: gcmTag}, g.tmp.As32())
	MOVL(U32(0xFFFFFFFF), g.at.As32())
	BZHIL(g.tmp.As32(), g.at.As32(), g.at.As32())
	KMOVD(g.at.As32(), K1)
	VPSHUFB(wide(turnAt).AsX(), x, x)
	VPXORQ(wide(firstAt).AsX(), x, x)
	if !g.open {
		VMOVDQU8(x, K1, Mem{Base: g.dst})
		return
	}
	VMOVDQU8_Z(Mem{Base: g.src}, K1, t)
	VPXORQ(t, x, x)
	VPTESTMB(x, x, K1, K2)
	KMOVD(K2, g.tmp.As32())
	Store(g.tmp.As32(), ReturnIndex(0))
}

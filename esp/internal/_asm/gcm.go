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

// width is how many bytes of the registers are used: 16, 32 or 64.
type width int

func (w width) at(i int) VecPhysical {
	switch w {
	case 64:
		return wide(i)
	case 32:
		return wide(i).AsY().(VecPhysical)
	}
	return xmm(i)
}

func xmm(i int) VecPhysical { return wide(i).AsX().(VecPhysical) }

// gcm is one message. It is worked on in groups of four registers, of two or four
// blocks each.
type gcm struct {
	width
	open   bool
	labels int
	first  int // the register of the counter block that encrypts the tag

	key, dst, src, left, total GPPhysical
	nonce, aad, aadLen         GPPhysical
	at, tmp, ends              GPPhysical
	rounds                     Register
}

// Registers. The hash of what is done is in that of the high part. All that is
// hashed has its bytes turned round, so that a block is a number.
const (
	streamAt  = 0 // to 3: counters, then what they are encrypted to
	hashedAt  = 4 // to 7: ciphertext to be hashed
	lowAt     = 8 // to 10: a product that is not reduced
	middleAt  = 9
	highAt    = 10
	tempAt    = 11 // and 12
	maskAt    = 12
	lengthsAt = 12
	counterAt = 14 // the next counters, as numbers

	// With 32 registers, what else is needed all the time has some of them.
	turnAt      = 13
	polyAt      = 15
	keyAt       = 16 // to 29, the keys but for the last
	lastKeyAt   = 30
	firstAtWide = 31

	// With 16 they hold these.
	firstAtNarrow = 13
	oneKeyAt      = 15
)

// gcmMessage is sealing or opening one message (NIST SP 800-38D, sections 7.1 and
// 7.2). The associated data is 8 or 12 bytes. The tag is behind the ciphertext.
func gcmMessage(w width, open bool) {
	g := &gcm{width: w, open: open, key: RAX, dst: RDI, src: RSI, left: RCX, total: R10, nonce: RBX, aad: R8, aadLen: R9, at: R11, tmp: R12, ends: R13, rounds: EDX}
	name, result := "seal", ""
	if open {
		name, result = "open", " uint32"
	}
	if g.first = firstAtNarrow; g.wide() {
		g.first = firstAtWide
	}
	TEXT(fmt.Sprintf("%s%d", name, 8*w), NOSPLIT, "func(k, dst, src *byte, n int, nonce, aad *byte, aadLen int)"+result)
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

func (g *gcm) wide() bool { return g.width == 64 }

// group is how many bytes four registers have.
func (g *gcm) group() int { return 4 * int(g.width) }

// label makes a name that no other has.
func (g *gcm) label(name string) string {
	g.labels++
	return fmt.Sprintf("%s%d", name, g.labels)
}

// begin makes the first counter block of the nonce, and those behind it, and hashes
// the associated data, which is one block.
func (g *gcm) begin() {
	first, counter, x := xmm(g.first), g.width.at(counterAt), xmm(counterAt)
	if g.wide() {
		VBROADCASTI32X4(swapAll(), wide(turnAt))
		VBROADCASTI32X4(polynomial(), wide(polyAt))
	}
	MOVL(U32(0x01000000), g.tmp.As32())
	VMOVD(Mem{Base: g.nonce}, x)
	VPINSRD(Imm(1), Mem{Base: g.nonce, Disp: 4}, x, x)
	VPINSRD(Imm(2), Mem{Base: g.nonce, Disp: 8}, x, x)
	VPINSRD(Imm(3), g.tmp.As32(), x, x)
	if g.wide() {
		VMOVDQA64(x, first)
	} else {
		VMOVDQA(x, first)
	}
	VPSHUFB(swapAll(), x, x)
	if g.wide() {
		VSHUFI64X2(Imm(0), counter, counter, counter)
	} else {
		VINSERTI128(Imm(1), x, counter, counter)
	}
	VPADDD(words("gcm_first", []uint32{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0}), counter, counter)
	MOVQ(g.left, g.total)
	a, short := xmm(hashedAt), g.label("short")
	VMOVD(Mem{Base: g.aad}, a)
	VPINSRD(Imm(1), Mem{Base: g.aad, Disp: 4}, a, a)
	CMPQ(g.aadLen, Imm(8))
	JEQ(LabelRef(short))
	VPINSRD(Imm(2), Mem{Base: g.aad, Disp: 8}, a, a)
	Label(short)
	VPSHUFB(swapAll(), a, a)
	emit(g.multiply(16, hashedAt, gcmFirst, true))
	emit(g.reduce(16))
}

func (g *gcm) message() {
	if g.wide() {
		g.loadKeys()
	}
	g.encryptFirst()
	few := g.label("few")
	CMPQ(g.left, U32(uint64(g.group())))
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
	g.xor(xmm(highAt), x, x)
	emit(g.multiply(16, hashedAt, gcmFirst, true))
	emit(g.reduce(16))
	Label("tag")
	g.tag()
}

// loadKeys has all round keys in registers.
func (g *gcm) loadKeys() {
	load := func(from, to int) {
		for r := from; r < to; r++ {
			VBROADCASTI32X4(g.keyMem(r), wide(keyAt+r))
		}
	}
	load(0, 10)
	short := g.label("short")
	CMPL(g.rounds, Imm(12))
	JCS(LabelRef(short))
	load(10, 14)
	Label(short)
	VBROADCASTI32X4(g.lastKeyMem(), wide(lastKeyAt))
}

func (g *gcm) keyMem(r int) Mem { return Mem{Base: g.key, Disp: gcmKeys + r*block} }

func (g *gcm) lastKeyMem() Mem {
	MOVL(g.rounds, g.tmp.As32())
	SHLL(Imm(4), g.tmp.As32())
	return Mem{Base: g.key, Index: g.tmp, Scale: 1, Disp: gcmKeys}
}

// encryptFirst encrypts the block that the tag is encrypted with.
func (g *gcm) encryptFirst() {
	x := xmm(g.first)
	if g.wide() {
		VPXORQ(xmm(keyAt), x, x)
	} else {
		VPXOR(g.keyMem(0), x, x)
	}
	emit(g.encrypt(16, g.first, 1, 1, 10))
	g.moreRounds(16, g.first, 1)
	if g.wide() {
		VAESENCLAST(xmm(lastKeyAt), x, x)
	} else {
		VAESENCLAST(g.lastKeyMem(), x, x)
	}
}

// sealGroups hashes a group while the next one is encrypted.
func (g *gcm) sealGroups() {
	loop, last := g.label("group"), g.label("last")
	emit(g.stream(4))
	g.moreRounds(g.width, streamAt, 4)
	g.finishGroup()
	CMPQ(g.left, U32(uint64(g.group())))
	JCS(LabelRef(last))
	Label(loop)
	weave(g.stream(4), g.hashGroup())
	g.moreRounds(g.width, streamAt, 4)
	g.finishGroup()
	CMPQ(g.left, U32(uint64(g.group())))
	JCC(LabelRef(loop))
	Label(last)
}

// openGroups hashes a group while it is decrypted.
func (g *gcm) openGroups() {
	loop := g.label("group")
	Label(loop)
	for i := range 4 {
		c := g.width.at(hashedAt + i)
		g.move(Mem{Base: g.src, Disp: i * int(g.width)}, c)
		g.turn(c, c)
	}
	g.begunHash()
	weave(g.stream(4), g.hashGroup())
	g.moreRounds(g.width, streamAt, 4)
	g.finishGroup()
	CMPQ(g.left, U32(uint64(g.group())))
	JCC(LabelRef(loop))
}

// stream begins to encrypt the counters of the next n registers: the rounds that
// every key has. moreRounds does the others, but for the last.
func (g *gcm) stream(n int) (all []func()) {
	counter := g.width.at(counterAt)
	step := words("gcm_two", []uint32{2, 0, 0, 0, 2, 0, 0, 0})
	if g.wide() {
		step = words("gcm_four", []uint32{4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0})
	}
	key, load := g.roundKey(g.width, 0)
	all = append(all, load)
	for i := range n {
		s := g.width.at(streamAt + i)
		all = append(all, func() {
			g.turn(counter, s)
			VPADDD(step, counter, counter)
			g.xor(key, s, s)
		})
	}
	return append(all, g.encrypt(g.width, streamAt, n, 1, 10)...)
}

// encrypt does rounds of n registers from the one at on.
func (g *gcm) encrypt(w width, at, n, from, to int) (all []func()) {
	for r := from; r < to; r++ {
		key, load := g.roundKey(w, r)
		all = append(all, load)
		for i := range n {
			all = append(all, func() { VAESENC(key, w.at(at+i), w.at(at+i)) })
		}
	}
	return all
}

// roundKey is a round key for registers of a width, and what has to be done first.
func (g *gcm) roundKey(w width, r int) (key Op, load func()) {
	switch {
	case g.wide():
		return w.at(keyAt + r), func() {}
	case w == block:
		return g.keyMem(r), func() {}
	}
	return w.at(oneKeyAt), func() { VBROADCASTI128(g.keyMem(r), w.at(oneKeyAt)) }
}

// lastKey is the key of the last round.
func (g *gcm) lastKey() VecPhysical {
	if g.wide() {
		return wide(lastKeyAt)
	}
	VBROADCASTI128(g.lastKeyMem(), g.width.at(oneKeyAt))
	return g.width.at(oneKeyAt)
}

// moreRounds does the rounds that only keys of 192 and 256 bits have.
func (g *gcm) moreRounds(w width, at, n int) {
	last := g.label("last")
	CMPL(g.rounds, Imm(12))
	JCS(LabelRef(last))
	emit(g.encrypt(w, at, n, 10, 12))
	JEQ(LabelRef(last))
	emit(g.encrypt(w, at, n, 12, 14))
	Label(last)
}

// finishGroup does the last round, in which the message comes in.
func (g *gcm) finishGroup() {
	key := g.lastKey()
	for i := range 4 {
		s, t, disp := g.width.at(streamAt+i), g.width.at(tempAt+i%2), i*int(g.width)
		g.xor(Mem{Base: g.src, Disp: disp}, key, t)
		VAESENCLAST(t, s, s)
		g.move(s, Mem{Base: g.dst, Disp: disp})
		if !g.open {
			g.turn(s, g.width.at(hashedAt+i))
		}
	}
	if !g.open {
		g.begunHash()
	}
	ADDQ(U32(uint64(g.group())), g.src)
	ADDQ(U32(uint64(g.group())), g.dst)
	SUBQ(U32(uint64(g.group())), g.left)
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const block = 16

// subWord makes the S-box step of the key schedule without a table: when all
// columns are the same, AESENCLAST's row shift moves nothing.
func subWord() {
	TEXT("subWord", NOSPLIT, "func(w uint32) uint32")
	Load(Param("w"), EAX)
	VMOVD(EAX, X0)
	VPSHUFD(Imm(0), X0, X0)
	VPXOR(X1, X1, X1)
	VAESENCLAST(X1, X0, X0)
	VMOVD(X0, EAX)
	Store(EAX, ReturnIndex(0))
	RET()
}

// invertKeys makes the schedule of the equivalent inverse cipher (FIPS 197,
// section 5.3.5): the round keys backwards, all but the outer two through
// InvMixColumns.
func invertKeys() {
	TEXT("invertKeys", NOSPLIT, "func(dec, enc *byte, rounds int)")
	dec, enc, rounds := Load(Param("dec"), RDI), Load(Param("enc"), RSI), Load(Param("rounds"), RCX)
	from := RAX
	MOVQ(rounds, from)
	SHLQ(Imm(4), from)
	ADDQ(enc, from)
	VMOVDQU(Mem{Base: from}, X0)
	VMOVDQU(X0, Mem{Base: dec})
	DECQ(rounds)
	Label("inner")
	SUBQ(Imm(block), from)
	ADDQ(Imm(block), dec)
	VMOVDQU(Mem{Base: from}, X0)
	VAESIMC(X0, X0)
	VMOVDQU(X0, Mem{Base: dec})
	DECQ(rounds)
	JNZ(LabelRef("inner"))
	VMOVDQU(Mem{Base: enc}, X0)
	VMOVDQU(X0, Mem{Base: dec, Disp: block})
	RET()
}

// byRounds emits body for each of the three key lengths, chosen by rounds,
// with labels apart from each other, and a RET behind each.
func byRounds(rounds Register, body func(rounds int, label func(string) string)) {
	CMPQ(rounds, Imm(12))
	JEQ(LabelRef("aes192"))
	JGT(LabelRef("aes256"))
	for _, n := range []int{10, 12, 14} {
		Label(fmt.Sprintf("aes%d", (n-6)*32))
		body(n, func(s string) string { return fmt.Sprintf("%s%d", s, n) })
		VZEROUPPER()
		RET()
	}
}

// encryptChain encrypts one message in CBC mode. The blocks wait for each
// other: what counts is the latency of a round.
func encryptChain() {
	TEXT("encryptChain", NOSPLIT, "func(keys, iv, dst, src *byte, rounds, blocks int)")
	keys, dst, src := Load(Param("keys"), RAX), Load(Param("dst"), RDI), Load(Param("src"), RSI)
	iv, rounds, blocks := Load(Param("iv"), RBX), Load(Param("rounds"), RDX), Load(Param("blocks"), RCX)
	VMOVDQU(Mem{Base: iv.(GPPhysical)}, X0)
	VMOVDQU(Mem{Base: keys.(GPPhysical)}, X2)
	byRounds(rounds, func(n int, label func(string) string) {
		Label(label("block"))
		VPXOR(Mem{Base: src.(GPPhysical)}, X2, X1)
		VPXOR(X1, X0, X0)
		for r := 1; r < n; r++ {
			VAESENC(Mem{Base: keys.(GPPhysical), Disp: r * block}, X0, X0)
		}
		VAESENCLAST(Mem{Base: keys.(GPPhysical), Disp: n * block}, X0, X0)
		VMOVDQU(X0, Mem{Base: dst.(GPPhysical)})
		ADDQ(Imm(block), src)
		ADDQ(Imm(block), dst)
		DECQ(blocks)
		JNZ(LabelRef(label("block")))
	})
}

// decryptNI decrypts in place, eight blocks at a time, from the end of the
// message: what a block is XORed with, the ciphertext in front of it, is there
// until its own turn comes.
func decryptNI() {
	TEXT("decryptNI", NOSPLIT, "func(keys, buf *byte, rounds, blocks int)")
	keys, buf := Load(Param("keys"), RAX).(GPPhysical), Load(Param("buf"), RDI).(GPPhysical)
	rounds, blocks := Load(Param("rounds"), RDX), Load(Param("blocks"), RCX)
	end := RSI
	MOVQ(blocks, end)
	SHLQ(Imm(4), end)
	ADDQ(buf, end)
	byRounds(rounds, func(n int, label func(string) string) {
		for _, width := range []int{8, 1} {
			loop, done := label(fmt.Sprintf("by%dx", width)), label(fmt.Sprintf("by%dxDone", width))
			Label(loop)
			CMPQ(blocks, Imm(uint64(width)))
			JLT(LabelRef(done))
			decryptBlocksNI(keys, end, n, width)
			SUBQ(U32(uint64(width)*block), end)
			SUBQ(Imm(uint64(width)), blocks)
			JMP(LabelRef(loop))
			Label(done)
		}
	})
}

// decryptBlocksNI decrypts the width blocks before end.
func decryptBlocksNI(keys, end GPPhysical, rounds, width int) {
	at := func(i int) Mem { return Mem{Base: end, Disp: (i - width) * block} }
	x := func(i int) VecPhysical { return []VecPhysical{X0, X1, X2, X3, X4, X5, X6, X7}[i] }
	VMOVDQU(Mem{Base: keys}, X8)
	for i := range width {
		VPXOR(at(i), X8, x(i))
	}
	for r := 1; r <= rounds; r++ {
		VMOVDQU(Mem{Base: keys, Disp: r * block}, X8)
		for i := range width {
			if r < rounds {
				VAESDEC(X8, x(i), x(i))
			} else {
				VAESDECLAST(X8, x(i), x(i))
			}
		}
	}
	for i := range width {
		VPXOR(at(i-1), x(i), x(i))
	}
	for i := range width {
		VMOVDQU(x(i), at(i))
	}
}

// decryptVAES does the same with sixteen blocks in four registers. The rest,
// at the beginning of the message, is one more turn under a mask.
func decryptVAES() {
	TEXT("decryptVAES", NOSPLIT, "func(keys, buf *byte, rounds, blocks int)")
	keys, buf := Load(Param("keys"), RAX).(GPPhysical), Load(Param("buf"), RDI).(GPPhysical)
	rounds, blocks := Load(Param("rounds"), RDX), Load(Param("blocks"), RCX).(GPPhysical)
	at, rest := RSI, R8
	MOVQ(blocks, at)
	SHLQ(Imm(4), at)
	ADDQ(buf, at)
	byRounds(rounds, func(n int, label func(string) string) {
		for r := range n + 1 {
			VBROADCASTI32X4(Mem{Base: keys, Disp: r * block}, wide(16+r))
		}
		Label(label("sixteen"))
		CMPQ(blocks, Imm(16))
		JLT(LabelRef(label("rest")))
		SUBQ(U32(16*block), at)
		decryptSixteen(at, n, false)
		SUBQ(Imm(16), blocks)
		JMP(LabelRef(label("sixteen")))
		Label(label("rest"))
		TESTQ(blocks, blocks)
		JEQ(LabelRef(label("done")))
		ADDQ(blocks, blocks) // the mask has a bit for each eight bytes
		MOVL(U32(0xFFFFFFFF), rest.As32())
		BZHIQ(blocks, rest, rest)
		for i := range 4 {
			KMOVB(rest.As32(), opmask(i))
			SHRQ(Imm(8), rest)
		}
		decryptSixteen(buf, n, true)
		Label(label("done"))
	})
}

// decryptSixteen decrypts the blocks from at on, all sixteen or those in the masks.
func decryptSixteen(at GPPhysical, rounds int, masked bool) {
	load := func(disp, i, to int) {
		m := Mem{Base: at, Disp: disp + i*64}
		if masked {
			VMOVDQU64_Z(m, opmask(i), wide(to))
		} else {
			VMOVDQU64(m, wide(to))
		}
	}
	for i := range 4 {
		load(0, i, i)
	}
	for i := range 4 {
		load(-block, i, 4+i)
	}
	for i := range 4 {
		VPXORD(wide(16), wide(i), wide(i))
	}
	for r := 1; r < rounds; r++ {
		for i := range 4 {
			VAESDEC(wide(16+r), wide(i), wide(i))
		}
	}
	for i := range 4 {
		VAESDECLAST(wide(16+rounds), wide(i), wide(i))
	}
	for i := range 4 {
		VPXORD(wide(4+i), wide(i), wide(i))
	}
	for i := range 4 {
		m := Mem{Base: at, Disp: i * 64}
		if masked {
			VMOVDQU64(wide(i), opmask(i), m)
		} else {
			VMOVDQU64(wide(i), m)
		}
	}
}

// wide is the i-th 512 bit register.
func wide(i int) VecPhysical {
	return []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
	}[i]
}

func opmask(i int) OpmaskPhysical { return []OpmaskPhysical{K1, K2, K3, K4}[i] }

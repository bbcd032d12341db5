package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const shaBlock = 64

func sha1Constants() []uint32 {
	return []uint32{0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6}
}

func sha256Constants() []uint32 {
	return []uint32{
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	}
}

// words puts constants into the file's read-only data, once a name.
func words(name string, all []uint32) Mem {
	if m, ok := placed[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i, w := range all {
		DATA(4*i, U32(w))
	}
	placed[name] = m
	return m
}

var placed = map[string]Mem{}

// swapWords reverses the bytes of each word, swapAll all bytes of a register.
func swapWords() Mem {
	var all []uint32
	for range 4 {
		all = append(all, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f)
	}
	return words("swap_words", all)
}

func swapAll() Mem {
	return words("swap_all", []uint32{0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203})
}

// stream is the registers of one message under the SHA instructions.
type stream struct {
	state, data GPPhysical
	saved       Mem // two registers on the stack
	s           [3]VecPhysical
	w           [4]VecPhysical
}

func streams(n int) []*stream {
	all := []*stream{
		{state: RDI, data: RSI, s: [3]VecPhysical{X1, X2, X3}, w: [4]VecPhysical{X4, X5, X6, X7}},
		{state: R8, data: R9, s: [3]VecPhysical{X8, X9, X10}, w: [4]VecPhysical{X11, X12, X13, X14}},
	}[:n]
	for _, s := range all {
		s.saved = AllocLocal(32)
	}
	return all
}

// niSignature takes one or two messages of the same number of blocks.
func niSignature(n int) string {
	if n == 1 {
		return "func(state *uint32, data *byte, blocks int)"
	}
	return "func(state *uint32, data *byte, state2 *uint32, data2 *byte, blocks int)"
}

func loadStreams(all []*stream) {
	Load(Param("state"), all[0].state)
	Load(Param("data"), all[0].data)
	if len(all) == 2 {
		Load(Param("state2"), all[1].state)
		Load(Param("data2"), all[1].data)
	}
	Load(Param("blocks"), RCX)
}

// sha1NI compresses the blocks of n messages with the SHA instructions, four
// rounds at a time.
func sha1NI(n int) {
	TEXT(fmt.Sprintf("sha1NI%d", n), NOSPLIT, niSignature(n))
	all := streams(n)
	loadStreams(all)
	mask := X15
	MOVOU(swapAll(), mask)
	for _, s := range all {
		MOVOU(Mem{Base: s.state}, s.s[0])
		PSHUFD(Imm(0x1B), s.s[0], s.s[0])
		PXOR(s.s[1], s.s[1])
		PINSRD(Imm(3), Mem{Base: s.state, Disp: 16}, s.s[1])
	}
	Label("block")
	for _, s := range all {
		MOVOU(s.s[0], s.saved)
		MOVOU(s.s[1], s.saved.Offset(16))
	}
	for i := range 20 {
		for _, s := range all {
			s.fourOfSHA1(i, mask)
		}
	}
	for _, s := range all {
		MOVOU(s.saved.Offset(16), s.s[2])
		SHA1NEXTE(s.s[2], s.s[1])
		MOVOU(s.saved, s.s[2])
		PADDD(s.s[2], s.s[0])
		ADDQ(Imm(shaBlock), s.data)
	}
	DECQ(RCX)
	JNZ(LabelRef("block"))
	for _, s := range all {
		PSHUFD(Imm(0x1B), s.s[0], s.s[0])
		MOVOU(s.s[0], Mem{Base: s.state})
		PEXTRD(Imm(3), s.s[1], Mem{Base: s.state, Disp: 16})
	}
	RET()
}

// fourOfSHA1 does rounds 4i to 4i+3 of a stream, and its part of the schedule.
func (s *stream) fourOfSHA1(i int, mask VecPhysical) {
	abcd, e, other := s.s[0], s.s[1+i%2], s.s[1+(i+1)%2]
	w := s.w[i%4]
	if i < 4 {
		MOVOU(Mem{Base: s.data, Disp: 16 * i}, w)
		PSHUFB(mask, w)
	}
	if i == 0 {
		PADDD(w, e)
	} else {
		SHA1NEXTE(w, e)
	}
	MOVOA(abcd, other)
	if i >= 3 && i <= 18 {
		SHA1MSG2(w, s.w[(i+1)%4])
	}
	SHA1RNDS4(Imm(uint64(i/5)), e, abcd)
	if i >= 1 && i <= 16 {
		SHA1MSG1(w, s.w[(i+3)%4])
	}
	if i >= 2 && i <= 17 {
		PXOR(w, s.w[(i+2)%4])
	}
}

// sha256NI does the same for SHA-256. The instruction takes its words from X0.
func sha256NI(n int) {
	TEXT(fmt.Sprintf("sha256NI%d", n), NOSPLIT, niSignature(n))
	all := streams(n)
	loadStreams(all)
	mask := X15
	k := words("sha256_k", sha256Constants())
	MOVOU(swapWords(), mask)
	for _, s := range all {
		s.packSHA256()
	}
	Label("block")
	for _, s := range all {
		MOVOU(s.s[0], s.saved)
		MOVOU(s.s[1], s.saved.Offset(16))
	}
	for i := range 16 {
		for _, s := range all {
			s.fourOfSHA256(i, k, mask)
		}
	}
	for _, s := range all {
		for j := range 2 {
			MOVOU(s.saved.Offset(16*j), X0)
			PADDD(X0, s.s[j])
		}
		ADDQ(Imm(shaBlock), s.data)
	}
	DECQ(RCX)
	JNZ(LabelRef("block"))
	for _, s := range all {
		s.unpackSHA256()
	}
	RET()
}

// packSHA256 orders the state as the instruction wants it: ABEF and CDGH.
func (s *stream) packSHA256() {
	abef, cdgh, t := s.s[0], s.s[1], s.s[2]
	MOVOU(Mem{Base: s.state}, t)              // DCBA
	MOVOU(Mem{Base: s.state, Disp: 16}, cdgh) // HGFE
	PSHUFD(Imm(0xB1), t, t)                   // CDAB
	PSHUFD(Imm(0x1B), cdgh, cdgh)             // EFGH
	MOVOA(t, abef)
	PALIGNR(Imm(8), cdgh, abef) // ABEF
	PBLENDW(Imm(0xF0), t, cdgh) // CDGH
}

func (s *stream) unpackSHA256() {
	abef, cdgh, t := s.s[0], s.s[1], s.s[2]
	PSHUFD(Imm(0x1B), abef, t)    // FEBA
	PSHUFD(Imm(0xB1), cdgh, cdgh) // DCHG
	MOVOA(t, abef)
	PBLENDW(Imm(0xF0), cdgh, abef) // DCBA
	PALIGNR(Imm(8), t, cdgh)       // HGFE
	MOVOU(abef, Mem{Base: s.state})
	MOVOU(cdgh, Mem{Base: s.state, Disp: 16})
}

// fourOfSHA256 does rounds 4i to 4i+3 of a stream, and its part of the schedule.
func (s *stream) fourOfSHA256(i int, k Mem, mask VecPhysical) {
	abef, cdgh, t := s.s[0], s.s[1], s.s[2]
	w := s.w[i%4]
	if i < 4 {
		MOVOU(Mem{Base: s.data, Disp: 16 * i}, w)
		PSHUFB(mask, w)
	}
	MOVOU(k.Offset(16*i), X0)
	PADDD(w, X0)
	SHA256RNDS2(X0, abef, cdgh)
	if i >= 3 && i <= 14 {
		MOVOA(w, t)
		PALIGNR(Imm(4), s.w[(i+3)%4], t)
		PADDD(t, s.w[(i+1)%4])
		SHA256MSG2(w, s.w[(i+1)%4])
	}
	PSHUFD(Imm(0x0E), X0, X0)
	SHA256RNDS2(X0, cdgh, abef)
	if i >= 1 && i <= 12 {
		SHA256MSG1(w, s.w[(i+3)%4])
	}
}

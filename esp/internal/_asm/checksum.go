package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// sumWords adds the 32 bit words of n bytes from p on, n being a multiple of 32
// and at least that. It adds up words of 64 bits, whose carries are lost, and the
// upper halves of the same words, which say what was carried.
func sumWords() {
	TEXT("sumWords", NOSPLIT, "func(p *byte, n uintptr) uint64")
	at := Load(Param("p"), GP64())
	left := Load(Param("n"), GP64())
	s := &wordSum{at: at}
	for i := range s.sums {
		s.sums[i] = YMM()
		VPXOR(s.sums[i], s.sums[i], s.sums[i])
	}
	Label("long")
	CMPQ(left, I32(4*32))
	JCS(LabelRef("short"))
	for i := range 4 {
		s.add(i)
	}
	ADDQ(I32(4*32), at)
	SUBQ(I32(4*32), left)
	JMP(LabelRef("long"))
	Label("short")
	TESTQ(left, left)
	JEQ(LabelRef("done"))
	s.add(0)
	ADDQ(I32(32), at)
	SUBQ(I32(32), left)
	JMP(LabelRef("short"))
	Label("done")
	Store(s.total(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// wordSum is sums of what lies from at on: two of upper halves, then two of words.
type wordSum struct {
	at   Register
	sums [4]VecVirtual
}

// add adds the i-th 32 bytes.
func (s *wordSum) add(i int) {
	words, upper := YMM(), YMM()
	VMOVDQU(Mem{Base: s.at, Disp: 32 * i}, words)
	VPSRLQ(I8(32), words, upper)
	VPADDQ(upper, s.sums[i%2], s.sums[i%2])
	VPADDQ(words, s.sums[2+i%2], s.sums[2+i%2])
}

// total adds up all sums: the lower halves are what is left of the words without
// the upper ones.
func (s *wordSum) total() Register {
	upper, words := s.sums[0], s.sums[2]
	VPADDQ(s.sums[1], upper, upper)
	VPADDQ(s.sums[3], words, words)
	carried := YMM()
	VPSLLQ(I8(32), upper, carried)
	VPSUBQ(carried, words, words)
	VPADDQ(upper, words, words)
	half, sum := XMM(), words.AsX()
	VEXTRACTI128(I8(1), words, half)
	VPADDQ(half, sum, sum)
	VPSRLDQ(I8(8), sum, half)
	VPADDQ(half, sum, sum)
	n := GP64()
	VMOVQ(sum, n)
	return n
}

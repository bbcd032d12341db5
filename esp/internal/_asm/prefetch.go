package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// fetch asks for every line of n bytes from p on. It reads nothing, so p may be
// anything. The lines come to the second level of the cache: what is worked on
// meanwhile needs all of the first, and its ways to memory.
func fetch() {
	TEXT("fetch", NOSPLIT, "func(p *byte, n uintptr)")
	at := Load(Param("p"), GP64())
	end := Load(Param("n"), GP64())
	ADDQ(at, end)
	ANDQ(I8(-64), at)
	Label("line")
	PREFETCHT1(Mem{Base: at})
	ADDQ(I8(64), at)
	CMPQ(at, end)
	JCS(LabelRef("line"))
	RET()
}

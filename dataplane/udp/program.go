package udp

import (
	"math"

	"golang.org/x/net/bpf"
)

// What a filter sees of a datagram begins with the UDP header.
const (
	headAt  = 8
	headEnd = headAt + 4
)

// What a filter returns is how much is left of the datagram.
const (
	passAll  = math.MaxUint32
	passNone = 0
)

const (
	streamLen = 4 // instructions that look at a stream
	forkLen   = 2 // and that divide the streams
)

// program is one of classic BPF.
type program []bpf.RawInstruction

// add appends what Assemble returned. It is a bug if that was an error: there are no
// instructions here that could not be assembled.
func (p *program) add(r bpf.RawInstruction, err error) {
	if err != nil {
		panic(err)
	}
	*p = append(*p, r)
}

// thin is the program that has only a part of some streams come through, which are
// sorted by their heads; without streams it is empty. It is a tree, whose leaves put
// into X below which random number a datagram passes.
func (p *program) thin(streams []Stream) {
	*p = (*p)[:0]
	if len(streams) == 0 {
		return
	}
	// A load from behind the end would drop the datagram.
	p.add(bpf.LoadExtension{Num: bpf.ExtLen}.Assemble())
	p.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: headEnd, SkipTrue: 1}.Assemble())
	p.add(bpf.RetConstant{Val: passAll}.Assemble())
	p.add(bpf.LoadAbsolute{Off: headAt, Size: 4}.Assemble())
	p.fork(streams, len(*p)+treeLen(len(streams)))
	p.add(bpf.LoadExtension{Num: bpf.ExtRand}.Assemble())
	p.add(bpf.JumpIfX{Cond: bpf.JumpGreaterOrEqual, SkipFalse: 1}.Assemble())
	p.add(bpf.RetConstant{Val: passNone}.Assemble())
	p.add(bpf.RetConstant{Val: passAll}.Assemble())
}

// treeLen is how many instructions tell n streams apart.
func treeLen(n int) int { return streamLen*n + forkLen*(n-1) }

// fork adds what tells streams apart, and goes on at dice when it has found one.
func (p *program) fork(streams []Stream, dice int) {
	if n := len(streams) / 2; n > 0 {
		p.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: streams[n].Head, SkipFalse: 1}.Assemble())
		p.add(bpf.Jump{Skip: uint32(treeLen(n))}.Assemble())
		p.fork(streams[:n], dice)
		p.fork(streams[n:], dice)
		return
	}
	pass := uint32(min(max(streams[0].Pass, 0)*(1<<32), passAll))
	p.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: streams[0].Head, SkipFalse: 2}.Assemble())
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: pass}.Assemble())
	p.add(bpf.Jump{Skip: uint32(dice - len(*p) - 1)}.Assemble())
	p.add(bpf.RetConstant{Val: passAll}.Assemble())
}

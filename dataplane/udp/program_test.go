package udp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
)

// machine runs a program with a number in place of the random one.
func machine(t *testing.T, program program, dice uint32) *bpf.VM {
	t.Helper()
	var all []bpf.Instruction
	for _, raw := range program {
		one := raw.Disassemble()
		if one == (bpf.LoadExtension{Num: bpf.ExtRand}) {
			one = bpf.LoadConstant{Dst: bpf.RegA, Val: dice}
		}
		all = append(all, one)
	}
	vm, err := bpf.NewVM(all)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// headed is what a filter sees of one.
func headed(head uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 8), head) }

// Each stream passes by its own measure, and what is in none, or too short to be,
// always does.
func TestProgram(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 64, MaxStreams} {
		var streams []Stream
		for i := range n {
			streams = append(streams, Stream{Head: uint32(i+1) << 20, Pass: float64(i+1) / float64(n+1)})
		}
		var program program
		program.thin(streams)
		for _, dice := range []uint32{0, 1 << 30, 3 << 30, 1<<32 - 1} {
			vm := machine(t, program, dice)
			passes := func(packet []byte) bool {
				left, err := vm.Run(packet)
				if err != nil || left > 0 && left < len(packet) {
					t.Fatalf("%d bytes are left, %v", left, err)
				}
				return left > 0
			}
			for _, s := range streams {
				if want := float64(dice) < s.Pass*(1<<32); passes(headed(s.Head)) != want {
					t.Errorf("%d streams: %x of which %.2f passes at %.2f", n, s.Head, s.Pass, float64(dice)/(1<<32))
				}
				if !passes(headed(s.Head-1)) || !passes(headed(s.Head+1)) {
					t.Errorf("%d streams: a neighbour of %x is dropped", n, s.Head)
				}
			}
			if !passes(headed(0)) || !passes(append(make([]byte, 8), 0xff)) || !passes(make([]byte, 8)) {
				t.Errorf("%d streams: IKE or a keepalive is dropped", n)
			}
		}
	}
}

//go:build !purego

package ipkt

import "golang.org/x/sys/cpu"

//go:generate go -C ../../esp/internal/_asm run . ipkt -out ../../../tenant/ipkt/checksum_amd64.s -pkg ipkt

// sumWords returns the sum of the 32 bit words of n bytes from p on, n being a
// multiple of 32. It needs AVX2.
//
//go:noescape
func sumWords(p *byte, n uintptr) uint64

// sumWide adds up the words of b, at least 32 bytes, and returns what is left.
func sumWide(b []byte) (sum uint64, rest []byte) {
	if !cpu.X86.HasAVX2 {
		return sumChain(b)
	}
	n := len(b) &^ 31
	return sumWords(&b[0], uintptr(n)), b[n:]
}

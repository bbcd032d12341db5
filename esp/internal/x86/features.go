package x86

// Features are instruction sets that both the processor and the operating
// system support.
type Features struct {
	AES  bool // AES-NI with the three-operand encoding, which needs AVX
	VAES bool // AES on 512 bit registers, with AVX-512 F, BW, DQ and VL, and BMI2
	SHA  bool // SHA-NI, with SSSE3 and SSE4.1
	Wide bool // AVX-512 F, BW, DQ and VL

	VAES256 bool // AES and carry-less multiplication on 256 bit registers, with AVX2
	VPCLMUL bool // both on 512 bit registers, as with VAES
}

//go:build !purego

package x86

//go:generate go -C ../_asm run . x86 -out ../x86/cpuid_amd64.s -pkg x86

func cpuid(leaf, sub uint32) (a, b, c, d uint32)

func xgetbv() (a uint32)

// Registers that the operating system saves, in XCR0.
const (
	savesAVX    = 0x06
	savesAVX512 = 0xE6
)

// Detect asks the processor.
func Detect() Features {
	most, _, _, _ := cpuid(0, 0)
	if most < 7 {
		return Features{}
	}
	_, _, c1, _ := cpuid(1, 0)
	_, b7, c7, _ := cpuid(7, 0)
	var saved uint32
	if all(c1, 27) { // OSXSAVE
		saved = xgetbv()
	}
	f := Features{SHA: all(c1, 9, 19) && all(b7, 29)}
	f.AES = all(c1, 25, 28) && saved&savesAVX == savesAVX
	f.Wide = f.AES && all(b7, 16, 17, 30, 31) && saved&savesAVX512 == savesAVX512
	f.VAES = f.Wide && all(b7, 8) && all(c7, 9)
	f.VAES256 = f.AES && all(b7, 5) && all(c1, 1) && all(c7, 9, 10)
	f.VPCLMUL = f.VAES256 && f.VAES
	return f
}

// all reports whether all of the numbered bits of a word are set.
func all(word uint32, bits ...int) bool {
	for _, b := range bits {
		if word>>b&1 == 0 {
			return false
		}
	}
	return true
}

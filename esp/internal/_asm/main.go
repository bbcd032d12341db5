// Command _asm writes the assembly of the packages beside it. Each of them
// names it in a go:generate line. It is a module of its own so that the
// product does not depend on the assembler.
package main

import (
	"log"
	"os"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: _asm x86|aeskey|aescbc|aesgcm|mac|prefetch|ipkt -out FILE -pkg NAME")
	}
	what := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	ConstraintExpr("!purego")
	switch what {
	case "x86":
		cpuid()
		xgetbv()
	case "aeskey":
		subWord()
	case "aescbc":
		invertKeys()
		encryptChain()
		decryptNI()
		decryptVAES()
		encryptLanesNI(4)
		encryptLanesNI(8)
		encryptLanesVAES()
	case "aesgcm":
		hashKeys()
		gcmMessage(64, false)
		gcmMessage(64, true)
		gcmMessage(32, false)
		gcmMessage(32, true)
	case "prefetch":
		fetch()
	case "ipkt":
		sumWords()
	case "mac":
		sha1NI(1)
		sha1NI(2)
		sha256NI(1)
		sha256NI(2)
		sha1Wide()
		sha256Wide()
	default:
		log.Fatalf("unknown package %q", what)
	}
	Generate()
}

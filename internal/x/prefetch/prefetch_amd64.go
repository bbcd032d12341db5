//go:build !purego

package prefetch

//go:generate go -C ../../../esp/internal/_asm run . prefetch -out ../../../internal/x/prefetch/prefetch_amd64.s -pkg prefetch

// fetch asks for every line of the n bytes from p on.
//
//go:noescape
func fetch(p *byte, n uintptr)

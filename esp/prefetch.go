package esp

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/internal/x/prefetch"
)

// Prefetch has the processor fetch what Open will need for pkt beside the SA
// itself, without waiting for it: in step 0 what the SA points to, in step 1 what
// that points to. It reports whether there is a further step. A step waits for
// what the one before has asked for, and the first for the SA, so time should
// pass between them. It is of use before packets of several SAs, and changes
// nothing.
func (i *Inbound) Prefetch(step int, pkt []byte) (more bool) {
	switch {
	case step == 0:
		i.aead.prefetch()
		prefetch.Object(i.cbc)
		if len(pkt) >= headerLen {
			prefetch.Line(i.window.word(uint64(binary.BigEndian.Uint32(pkt[4:]))))
		}
		return i.cbc != nil
	case i.cbc != nil:
		prefetch.Object(i.cbc.aes)
		prefetch.Object(i.cbc.mac.sums)
	}
	return false
}

// Prefetch is for Seal what the Prefetch of an Inbound is for Open.
func (o *Outbound) Prefetch(step int) (more bool) {
	switch {
	case step == 0:
		o.aead.prefetch()
		prefetch.Object(o.cbc)
		return o.cbc != nil
	case o.cbc != nil:
		prefetch.Object(o.cbc.aes)
		prefetch.Object(o.cbc.iv)
		prefetch.Object(o.cbc.mac.sums)
	}
	return false
}

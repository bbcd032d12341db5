package esp

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/internal/prefetch"
)

// PrefetchSteps is how many steps Prefetch has.
const PrefetchSteps = 3

// Prefetch has the processor fetch what Open will need for pkt, without waiting
// for it: in step 0 the SA itself, then what it points to, step by step. A step
// waits for what the one before has asked for, so time should pass between them.
// It is of use before packets of several SAs, and changes nothing.
func (i *Inbound) Prefetch(step int, pkt []byte) {
	switch step {
	case 0:
		prefetch.Lines(i, hotInbound)
	case 1:
		i.aead.prefetch()
		prefetch.Object(i.cbc)
		if len(pkt) >= headerLen {
			word := uint64(binary.BigEndian.Uint32(pkt[4:])) / 64 & i.window.mask
			prefetch.Line(&i.window.ring[word])
		}
	case 2:
		if i.cbc != nil {
			prefetch.Object(i.cbc.aes)
			prefetch.Object(i.cbc.mac.sums)
		}
	}
}

// Prefetch is for Seal what the Prefetch of an Inbound is for Open.
func (o *Outbound) Prefetch(step int) {
	switch step {
	case 0:
		prefetch.Object(o)
	case 1:
		o.aead.prefetch()
		prefetch.Object(o.cbc)
	case 2:
		if o.cbc != nil {
			prefetch.Object(o.cbc.aes)
			prefetch.Object(o.cbc.iv)
			prefetch.Object(o.cbc.mac.sums)
		}
	}
}

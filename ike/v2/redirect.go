package v2

import (
	"bytes"
	"net/netip"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Types of a gateway identity (RFC 5685, section 6.1).
const (
	gatewayIPv4 = 1
	gatewayIPv6 = 2
	gatewayFQDN = 3
)

// gatewayData is the gateway identity of a REDIRECT notify: type, length, data.
func gatewayData(gateway string) []byte {
	if a, err := netip.ParseAddr(gateway); err == nil {
		t := byte(gatewayIPv6)
		if a = a.Unmap(); a.Is4() {
			t = gatewayIPv4
		}
		b := a.AsSlice()
		return append([]byte{t, byte(len(b))}, b...)
	}
	name := gateway[:min(len(gateway), 255)]
	return append([]byte{gatewayFQDN, byte(len(name))}, name...)
}

// gatewayOf reads the data of a REDIRECT notify. Where nothing protects it, it
// must end in our nonce.
func gatewayOf(b, nonce []byte) (string, bool) {
	if len(b) < 2 || len(b)-2 < int(b[1]) {
		return "", false
	}
	id, rest := b[2:2+b[1]], b[2+b[1]:]
	if !bytes.Equal(rest, nonce) {
		return "", false
	}
	switch b[0] {
	case gatewayIPv4, gatewayIPv6:
		a, ok := netip.AddrFromSlice(id)
		return a.String(), ok && a.Is4() == (b[0] == gatewayIPv4)
	case gatewayFQDN:
		return printable(string(id)), len(id) > 0
	}
	return "", false
}

// redirectable reports whether a peer can be sent to another gateway. One that
// was sent here is not sent on, lest it goes in circles.
func (f *features) redirectable() bool { return f.redirect && !f.redirected }

// redirectedBy is the gateway that an authentic answer to IKE_AUTH names.
func redirectedBy(m *message) (string, bool) {
	n, ok := findNotify(m.chain, wire.Notify2Redirect)
	if !ok {
		return "", false
	}
	return gatewayOf(n.Data, nil)
}

package v2

import (
	"net/netip"
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// textID is an identity by its text: an address, a name, or with an @ inside a
// user's.
func textID(s string, responder bool) wire.ID2 {
	if a, err := netip.ParseAddr(s); err == nil {
		return addrID(a, responder)
	}
	t := wire.IDFQDN
	if strings.Contains(s, "@") {
		t = wire.IDUserFQDN
	}
	return wire.ID2{Responder: responder, Type: t, Data: []byte(s)}
}

func addrID(a netip.Addr, responder bool) wire.ID2 {
	id := wire.AddrID(a, 0, 0)
	return wire.ID2{Responder: responder, Type: id.Type, Data: id.Data}
}

// maxIdentity bounds what we keep of a name that a peer gives itself.
const maxIdentity = 256

// identityText is an identity in words: an address or a name as such.
func identityText(id wire.ID2) string {
	if a, ok := id.Addr(); ok {
		return a.String()
	}
	if id.Type == wire.IDFQDN || id.Type == wire.IDUserFQDN {
		return printable(string(id.Data[:min(len(id.Data), maxIdentity)]))
	}
	return id.String()
}

// printable replaces what does not belong into a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 32 || r == 127 || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}

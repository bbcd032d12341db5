package suite

import "github.com/culvert-vpn/culvert/ike/wire"

// Persona is how one family of clients opens its exchanges: what it offers, how
// it writes it, and how it announces itself.
type Persona struct {
	Name      string
	IKE       []IKE
	IKELayout Layout
	ESP       []ESP // without encapsulation
	ESPLayout Layout
	Vendors   []wire.VendorID // of the first message, in their order
	NonceLen  int             // bytes
}

// PersonaNamed returns the persona of that name: culvert, windows7, windows10,
// macos, ios, android, chromeos, mikrotik, networkmanager, kl2tpd or tplink.
// The caller owns it. Those but culvert also offer algorithms that nobody should
// use, as the originals do; AcceptIKE and AcceptESP still refuse them.
func PersonaNamed(name string) (Persona, bool) {
	var p Persona
	switch name {
	case "culvert":
		p = culvert()
	case "windows7":
		p = windows(8, windows7ESP())
	case "windows10":
		p = windows(9, windows10ESP())
		p.Vendors = append([]wire.VendorID{wire.VendorMSKeyModules.ID(0, 0, 0, 1)}, p.Vendors...)
	case "macos", "ios":
		p = apple()
	case "android":
		p = android()
	case "chromeos":
		p = chromeOS()
	case "networkmanager", "kl2tpd":
		p = networkManager()
	case "mikrotik":
		p = mikroTik()
	case "tplink":
		p = tpLink()
	default:
		return Persona{}, false
	}
	p.Name = name
	return p, true
}

// OfferIKE returns the persona's phase 1 offer.
func (p Persona) OfferIKE() wire.SA { return OfferIKE(p.IKE, p.IKELayout) }

// OfferESP returns the persona's quick mode offer; spi is that of our inbound SA.
func (p Persona) OfferESP(spi [4]byte, e Encapsulation) wire.SA {
	list := append([]ESP(nil), p.ESP...)
	for i := range list {
		list[i].Encapsulation = e
	}
	return OfferESP(list, spi, p.ESPLayout)
}

// withIKE gives suites an authentication by PSK and a lifetime.
func withIKE(seconds uint32, suites ...IKESuite) []IKE {
	out := make([]IKE, len(suites))
	for i, s := range suites {
		out[i] = IKE{IKESuite: s, Auth: AuthPSK, Life: Life{Seconds: seconds}}
	}
	return out
}

// withESP gives suites a lifetime.
func withESP(l Life, suites ...ESPSuite) []ESP {
	out := make([]ESP, len(suites))
	for i, s := range suites {
		out[i] = ESP{ESPSuite: s, Life: l}
	}
	return out
}

// crossIKE pairs each cipher with each hash, in this order.
func crossIKE(g Group, ciphers []IKESuite, hashes ...Hash) []IKESuite {
	var out []IKESuite
	for _, c := range ciphers {
		for _, h := range hashes {
			out = append(out, IKESuite{c.Encryption, c.KeyBits, h, g})
		}
	}
	return out
}

// crossESP pairs each cipher with each integrity algorithm, in this order.
func crossESP(ciphers []ESPSuite, integ ...Integrity) []ESPSuite {
	var out []ESPSuite
	for _, c := range ciphers {
		for _, i := range integ {
			out = append(out, ESPSuite{c.Encryption, c.KeyBits, i})
		}
	}
	return out
}

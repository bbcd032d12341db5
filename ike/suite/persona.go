package suite

import "github.com/culvert-vpn/culvert/ike/wire"

// Persona is how one family of clients opens its exchanges by IKEv1: what it offers, how
// it writes it, and how it announces itself. Package persona has those of clients.
type Persona struct {
	IKE       []IKE
	IKELayout Layout
	ESP       []ESP // without encapsulation
	ESPLayout Layout
	Vendors   []wire.VendorID // of the first message, in their order
	NonceLen  int             // bytes
}

// Own is what culvert itself offers: what DefaultIKE and DefaultESP like best, in few
// lines. The caller owns it.
func Own() Persona {
	return Persona{
		IKE: WithPSK(28800,
			IKESuite{EncAESCBC, 256, HashSHA256, GroupX25519},
			IKESuite{EncAESCBC, 256, HashSHA256, GroupECP256},
			IKESuite{EncAESCBC, 256, HashSHA256, GroupMODP2048},
			IKESuite{EncAESCBC, 128, HashSHA256, GroupMODP3072},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupECP384},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupMODP2048},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupMODP2048}),
		IKELayout: Layout{Order: []Field{FieldEncryption, FieldKeyLength, FieldHash, FieldGroup, FieldAuth, FieldSeconds}},
		ESP: WithLife(Life{Seconds: 3600},
			ESPSuite{EncAESGCM16, 256, IntegNone},
			ESPSuite{EncAESGCM16, 128, IntegNone},
			ESPSuite{EncAESCBC, 256, IntegSHA256},
			ESPSuite{EncAESCBC, 128, IntegSHA256},
			ESPSuite{EncAESCBC, 256, IntegSHA1},
			ESPSuite{EncAESCBC, 128, IntegSHA1}),
		ESPLayout: Layout{Order: []Field{FieldKeyLength, FieldIntegrity, FieldGroup, FieldEncapsulation, FieldSeconds}},
		Vendors:   []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorDPD.ID(1, 0)},
		NonceLen:  32,
	}
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

// WithPSK gives suites an authentication by PSK and a lifetime.
func WithPSK(seconds uint32, suites ...IKESuite) []IKE {
	out := make([]IKE, len(suites))
	for i, s := range suites {
		out[i] = IKE{IKESuite: s, Auth: AuthPSK, Life: Life{Seconds: seconds}}
	}
	return out
}

// WithLife gives suites a lifetime.
func WithLife(l Life, suites ...ESPSuite) []ESP {
	out := make([]ESP, len(suites))
	for i, s := range suites {
		out[i] = ESP{ESPSuite: s, Life: l}
	}
	return out
}

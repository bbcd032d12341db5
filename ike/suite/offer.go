package suite

import "github.com/culvert-vpn/culvert/ike/wire"

// Field is a part of a transform in a Layout.
type Field uint8

// The fields of a transform. A field whose value is zero is left out. A lifetime
// is two attributes, type and duration.
const (
	FieldEncryption    Field = iota // phase 1 only: ESP has it as transform id
	FieldKeyLength                  //
	FieldHash                       // phase 1 only
	FieldIntegrity                  // ESP only
	FieldGroup                      //
	FieldAuth                       // phase 1 only
	FieldSeconds                    //
	FieldKilobytes                  //
	FieldEncapsulation              // ESP only
	FieldESN                        // ESP only
)

// Layout is how a client writes its offers.
type Layout struct {
	Order    []Field
	LongLife bool // durations have four bytes even where two would do
	Split    bool // a proposal for each transform, instead of one for all
}

// OfferIKE returns a phase 1 offer of the transforms in their order.
func OfferIKE(transforms []IKE, l Layout) wire.SA { return wire.SA{} }

// OfferESP returns a quick mode offer of the transforms in their order; spi is
// that of our inbound SA.
func OfferESP(transforms []ESP, spi [4]byte, l Layout) wire.SA { return wire.SA{} }

// Persona is how one family of clients opens its exchanges.
type Persona struct {
	Name      string
	IKE       []IKE
	IKELayout Layout
	ESP       []ESP // without encapsulation
	ESPLayout Layout
	Vendors   []wire.VendorID // of the first message, in their order
	NonceLen  int
}

// PersonaNamed returns the persona of that name: culvert, windows7, windows10,
// macos, ios, android, chromeos, mikrotik, networkmanager, kl2tpd or tplink.
// The caller owns it.
func PersonaNamed(name string) (Persona, bool) { return Persona{}, false }

// OfferIKE returns the persona's phase 1 offer.
func (p Persona) OfferIKE() wire.SA { return OfferIKE(p.IKE, p.IKELayout) }

// OfferESP returns the persona's quick mode offer.
func (p Persona) OfferESP(spi [4]byte, e Encapsulation) wire.SA { return wire.SA{} }

package v1

import (
	"bytes"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// NATT is the variant of NAT traversal that both sides speak.
type NATT uint8

// The variants. Drafts 02 and 03 have numbers of their own for payloads and
// encapsulation modes.
const (
	NATTNone  NATT = iota
	NATTDraft      // drafts 02 and 03
	NATTRFC        // RFC 3947
)

func (n NATT) natD() wire.PayloadType {
	if n == NATTDraft {
		return wire.PayloadNATDDraft
	}
	return wire.PayloadNATD
}

func (n NATT) natOA() wire.PayloadType {
	if n == NATTDraft {
		return wire.PayloadNATOADraft
	}
	return wire.PayloadNATOA
}

// Features is what the vendor IDs of a peer say about it.
type Features struct {
	NATT          NATT
	DPD           bool
	Fragmentation bool
	Family        family.Family
	XAUTH         bool // extended authentication
	Unity         bool // the attributes of Cisco's clients

	natt, dpd, frag wire.VendorID // as the peer sent them, to be given back
}

// see takes one vendor ID into account.
func (f *Features) see(vid wire.VendorID) {
	known, rest := vid.Known()
	switch known {
	case wire.VendorRFC3947:
		f.NATT, f.natt = NATTRFC, bytes.Clone(vid)
	case wire.VendorNATTDraft02, wire.VendorNATTDraft02N, wire.VendorNATTDraft03:
		if f.NATT == NATTNone {
			f.NATT, f.natt = NATTDraft, bytes.Clone(vid)
		}
	case wire.VendorDPD:
		f.DPD, f.dpd = true, bytes.Clone(vid)
	case wire.VendorFragmentation:
		f.Fragmentation, f.frag = true, fragmentationAnswer(rest)
	case wire.VendorXAUTH:
		f.XAUTH = true
	case wire.VendorUnity:
		f.Unity = true
	}
}

// fragmentationAnswer gives the plain form back to Windows and the one with the
// capability word of main mode to everybody else.
func fragmentationAnswer(capabilities []byte) wire.VendorID {
	if len(capabilities) == 0 {
		return wire.VendorFragmentation.ID()
	}
	return wire.VendorFragmentation.ID(0x80, 0, 0, 0)
}

// answers lists the vendor IDs that answer those of the peer: never one that it
// did not offer, for some clients abort on what they do not expect.
// Those of extended authentication are for who chose it: some clients of L2TP
// that get them expect more of it.
func (f *Features) answers(a suite.AuthMethod) []wire.VendorID {
	var list []wire.VendorID
	for _, vid := range []wire.VendorID{f.natt, f.dpd, f.frag} {
		if vid != nil {
			list = append(list, vid)
		}
	}
	if a.XAUTH() && f.XAUTH {
		list = append(list, wire.VendorXAUTH.ID())
	}
	if a.XAUTH() && f.Unity {
		list = append(list, wire.VendorUnity.ID(1, 0))
	}
	return list
}

// readVendors collects the features that a chain of payloads announces.
func readVendors(chain []wire.Payload) Features {
	var f Features
	var vendors []wire.VendorID
	for _, p := range chain {
		if p.Type != wire.PayloadVendorID {
			continue
		}
		if vid, err := wire.ConsumeVendorID(p.Body); err == nil {
			f.see(vid)
			vendors = append(vendors, vid)
		}
	}
	f.Family = family.Recognise(family.Signs{Vendors: vendors})
	return f
}

package v1

import (
	"bytes"

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
	Microsoft     bool

	natt, dpd, frag wire.VendorID // as the peer sent them, to be given back
	draft00         bool
	family          string
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
	case wire.VendorMSNT5:
		f.Microsoft = true
		f.family = windowsFamily(rest)
	case wire.VendorMSKeyModules:
		f.family = "windows10"
	case wire.VendorNATTApple:
		f.family = "apple"
	case wire.VendorNATTDraft00:
		f.draft00 = true
	case wire.VendorXAUTH, wire.VendorStrongSwan:
		f.guess("strongswan")
	}
}

// guess names a family if nothing better was seen.
func (f *Features) guess(family string) {
	if f.family == "" {
		f.family = family
	}
}

// windowsFamily tells the releases apart by the version word of their vendor ID.
// It does not unseat Windows 10, whose own vendor ID comes first.
func windowsFamily(version []byte) string {
	if len(version) != 4 {
		return "windows-old"
	}
	switch version[3] {
	case 8:
		return "windows7"
	case 9:
		return "windows8"
	}
	return "windows-old"
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
func (f *Features) answers() []wire.VendorID {
	var list []wire.VendorID
	for _, vid := range []wire.VendorID{f.natt, f.dpd, f.frag} {
		if vid != nil {
			list = append(list, vid)
		}
	}
	return list
}

// Family names the kind of peer, as far as its vendor IDs tell.
func (f *Features) Family() string {
	switch {
	case f.family != "":
		return f.family
	case f.draft00 && f.Fragmentation:
		return "android"
	}
	return "other"
}

// readVendors collects the features that a chain of payloads announces.
func readVendors(chain []wire.Payload) Features {
	var f Features
	windows10 := false
	for _, p := range chain {
		if p.Type != wire.PayloadVendorID {
			continue
		}
		vid, err := wire.ConsumeVendorID(p.Body)
		if err != nil {
			continue
		}
		f.see(vid)
		windows10 = windows10 || f.family == "windows10"
	}
	if windows10 {
		f.family = "windows10"
	}
	return f
}

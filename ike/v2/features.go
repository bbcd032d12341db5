package v2

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// features is what a peer announces about itself, in IKE_SA_INIT and IKE_AUTH.
type features struct {
	fragmentation bool // RFC 7383
	redirect      bool // RFC 5685
	redirected    bool // another gateway has sent it here
	childless     bool // RFC 6023
	intermediate  bool // RFC 9242
	ppk           bool // RFC 8784
	mobike        bool // RFC 4555
	natt          bool // it sent NAT_DETECTION notifies
	signatures    bool // RFC 7427
	hashes        []uint16
	family        family.Family
}

// readFeatures collects what the payloads of an IKE_SA_INIT message announce.
func readFeatures(chain []wire.Payload) features {
	var f features
	var vendors []wire.VendorID
	for _, p := range chain {
		switch p.Type {
		case wire.PayloadNotify2:
			if n, err := wire.ConsumeNotify2(p.Body); err == nil {
				f.see(n)
			}
		case wire.PayloadVendorID2:
			vendors = append(vendors, wire.VendorID(p.Body))
		}
	}
	f.family = family.Recognise(family.Signs{
		Vendors: vendors, V2: true, Fragmentation: f.fragmentation, Redirect: f.redirect, Intermediate: f.intermediate,
		Signatures: f.signatures, SHA1: slices.Contains(f.hashes, uint16(auth.HashSHA1)),
	})
	return f
}

func (f *features) see(n wire.Notify2) {
	switch n.Type {
	case wire.Notify2FragmentationSupported:
		f.fragmentation = true
	case wire.Notify2RedirectSupported:
		f.redirect = true
	case wire.Notify2RedirectedFrom:
		f.redirect, f.redirected = true, true
	case wire.Notify2ChildlessSupported:
		f.childless = true
	case wire.Notify2IntermediateSupported:
		f.intermediate = true
	case wire.Notify2UsePPK:
		f.ppk = true
	case wire.Notify2NATDetectionSource, wire.Notify2NATDetectionDestination:
		f.natt = true
	case wire.Notify2SignatureHashAlgorithms:
		f.signatures, f.hashes = true, slices.Collect(n.Uint16s())
	}
}

// msStatus puts the status that Windows sends into words.
func msStatus(code uint32) string {
	switch code {
	case 87:
		return "87: the client rejects a parameter"
	case 13801:
		return "13801: the client does not accept the server's certificate (name, purpose or authority)"
	case 13806:
		return "13806: the client has no machine certificate that fits"
	case 13816:
		return "13816: the client met an unexpected message (a key exchange it did not ask for)"
	case 13819:
		return "13819: the client does not accept the type of credentials"
	case 13824:
		return "13824: the client failed to verify the certificate"
	case 13863:
		return "13863: the client does not let the server renew a child SA"
	case 13868:
		return "13868: the client and the server have no common proposal or policy"
	}
	return ""
}

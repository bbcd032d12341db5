package family

import (
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Family is a kind of client, as the log and the list of sessions name it.
type Family string

// The families that are told apart. Windows 10 and 11 say the same of
// themselves, and so do macOS and iOS.
const (
	Other      Family = "other"
	WindowsOld Family = "windows-old" // before Windows 7
	Windows7   Family = "windows7"
	Windows8   Family = "windows8"
	Windows10  Family = "windows10"
	Apple      Family = "apple"
	Android    Family = "android"
	StrongSwan Family = "strongswan" // of Linux, ChromeOS and the app for Android
	Libreswan  Family = "libreswan"  // where it says so
	Xl2tpd     Family = "xl2tpd"     // over an IKE daemon that names itself not
	MikroTik   Family = "mikrotik"
	Cisco      Family = "cisco" // Cisco's own and vpnc, which speaks as it does
)

// Signs is what the first message of a peer says about its kind.
type Signs struct {
	// Vendors are its vendor IDs, borrowed.
	Vendors []wire.VendorID
	// V2 says that it speaks IKEv2; the others are notifies of IKE_SA_INIT.
	V2            bool
	Fragmentation bool // RFC 7383
	Redirect      bool // RFC 5685
	Intermediate  bool // RFC 9242
	Signatures    bool // RFC 7427
	SHA1          bool // and SHA-1 is among the hashes it takes
}

// Recognise returns the family of a peer.
func Recognise(s Signs) Family {
	var all vendors
	var version []byte
	for _, v := range s.Vendors {
		known, rest := v.Known()
		if all |= 1 << known; known == wire.VendorMSNT5 {
			version = rest
		}
	}
	switch {
	case all.has(wire.VendorMSKeyModules): // before NT5, whose version is that of Windows 8
		return Windows10
	case all.has(wire.VendorMSNT5):
		return windowsOf(version)
	case all.has(wire.VendorLibreswan): // it may call itself strongSwan as well
		return Libreswan
	case all.has(wire.VendorNATTApple):
		return Apple
	case all.has(wire.VendorNATTDraft00) && all.has(wire.VendorFragmentation): // racoon of Android
		return Android
	case all.has(wire.VendorUnity) && !all.has(wire.VendorFragmentation) && !all.has(wire.VendorStrongSwan):
		return Cisco
	case all.has(wire.VendorStrongSwan) || all.has(wire.VendorXAUTH):
		return StrongSwan
	case s.V2:
		return s.silent()
	}
	return Other
}

// vendors is a set of vendor IDs.
type vendors uint64

func (v vendors) has(x wire.Vendor) bool { return v&(1<<x) != 0 }

// windowsOf tells the releases apart by the version word of their vendor ID.
func windowsOf(version []byte) Family {
	if len(version) == 4 {
		switch version[3] {
		case 8:
			return Windows7
		case 9:
			return Windows8
		}
	}
	return WindowsOld
}

// silent names the clients of IKEv2 that announce no vendor: Apple's say that
// they can be redirected and nothing of signatures; Android's takes signatures
// with SHA-1.
func (s Signs) silent() Family {
	switch {
	case s.Redirect && s.Fragmentation && !s.Signatures:
		return Apple
	case s.Redirect && s.Signatures && !s.Intermediate:
		return StrongSwan
	case s.Signatures && s.SHA1 && !s.Redirect:
		return Android
	}
	return Other
}

// Refine returns the family of a peer of which IKE could not tell what it is,
// with what its L2TP says of it: the host name, the vendor name and the firmware
// revision of its tunnel (RFC 2661, sections 4.4.3 and 4.4.5).
func (f Family) Refine(host, vendor string, firmware uint16) Family {
	switch {
	case f != Other:
		return f
	case vendor == "MikroTik":
		return MikroTik
	case vendor == "xelerance.com":
		return Xl2tpd
	case vendor == "Microsoft":
		return windowsOfFirmware(firmware)
	case vendor == "" && host == "anonymous":
		return Android
	}
	return f
}

// windowsOfFirmware tells the releases apart by their firmware revision
// ([MS-L2TPIE]).
func windowsOfFirmware(revision uint16) Family {
	switch revision {
	case 0x0601:
		return Windows7
	case 0x0602, 0x0603:
		return Windows8
	case 0x0a00:
		return Windows10
	}
	return WindowsOld
}

// RefineByPPP is Refine with the text of an LCP Identification packet (RFC
// 1570): what Windows calls itself.
func (f Family) RefineByPPP(text string) Family {
	if f == Other && strings.HasPrefix(text, "MSRAS") {
		return WindowsOld
	}
	return f
}

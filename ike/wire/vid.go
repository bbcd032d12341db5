package wire

import "encoding/hex"

// VendorID is a vendor ID payload: a constant that announces an implementation
// or a capability (RFC 2408, section 3.16).
type VendorID []byte

// PayloadType returns PayloadVendorID.
func (VendorID) PayloadType() PayloadType { return PayloadVendorID }

// AppendBody appends the constant.
func (v VendorID) AppendBody(dst []byte) []byte { return append(dst, v...) }

// ConsumeVendorID reads the body of a vendor ID payload.
func ConsumeVendorID(b []byte) (VendorID, error) {
	if len(b) == 0 {
		return nil, ErrShort
	}
	return VendorID(b), nil
}

// Vendor is a vendor ID by name. Most are the MD5 of a text.
type Vendor uint8

// The vendor IDs that native clients send.
const (
	VendorUnknown          Vendor = iota
	VendorRFC3947                 // NAT traversal as in the RFC
	VendorNATTApple               // "draft-ietf-ipsec-nat-t-ike"
	VendorNATTDraft00             //
	VendorNATTDraft02             //
	VendorNATTDraft02N            // draft 02 with a line feed hashed in
	VendorNATTDraft03             //
	VendorNATTDraft04             //
	VendorNATTDraft05             //
	VendorNATTDraft06             //
	VendorNATTDraft07             //
	VendorNATTDraft08             //
	VendorDPD                     // RFC 3706; a major and a minor version follow
	VendorFragmentation           // a word of capabilities may follow
	VendorXAUTH                   // draft-ietf-ipsra-isakmp-xauth-06
	VendorUnity                   // Cisco Unity; a version follows
	VendorStrongSwan              //
	VendorMSNT5                   // MS NT5 ISAKMPOAKLEY; a version word follows
	VendorMSKeyModules            // Windows 10 and later; a version word follows
	VendorMSNegotiation           // MS-Negotiation Discovery Capable
	VendorMSInitialContact        // Vid-Initial-Contact
	VendorMSCGA                   // IKE CGA version 1
	VendorLibreswan               // a text; the version follows
)

type vendorEntry struct {
	name    string
	id      string // its bytes
	version bool   // more bytes may follow
}

var vendors = [...]vendorEntry{
	VendorRFC3947:          {"RFC 3947", bytesOf("4a131c81070358455c5728f20e95452f"), false},
	VendorNATTApple:        {"draft-ietf-ipsec-nat-t-ike", bytesOf("4df37928e9fc4fd1b3262170d515c662"), false},
	VendorNATTDraft00:      {"draft-ietf-ipsec-nat-t-ike-00", bytesOf("4485152d18b6bbcd0be8a8469579ddcc"), false},
	VendorNATTDraft02:      {"draft-ietf-ipsec-nat-t-ike-02", bytesOf("cd60464335df21f87cfdb2fc68b6a448"), false},
	VendorNATTDraft02N:     {"draft-ietf-ipsec-nat-t-ike-02\\n", bytesOf("90cb80913ebb696e086381b5ec427b1f"), false},
	VendorNATTDraft03:      {"draft-ietf-ipsec-nat-t-ike-03", bytesOf("7d9419a65310ca6f2c179d9215529d56"), false},
	VendorNATTDraft04:      {"draft-ietf-ipsec-nat-t-ike-04", bytesOf("9909b64eed937c6573de52ace952fa6b"), false},
	VendorNATTDraft05:      {"draft-ietf-ipsec-nat-t-ike-05", bytesOf("80d0bb3def54565ee84645d4c85ce3ee"), false},
	VendorNATTDraft06:      {"draft-ietf-ipsec-nat-t-ike-06", bytesOf("4d1e0e136deafa34c4f3ea9f02ec7285"), false},
	VendorNATTDraft07:      {"draft-ietf-ipsec-nat-t-ike-07", bytesOf("439b59f8ba676c4c7737ae22eab8f582"), false},
	VendorNATTDraft08:      {"draft-ietf-ipsec-nat-t-ike-08", bytesOf("8f8d83826d246b6fc7a8a6a428c11de8"), false},
	VendorDPD:              {"Dead Peer Detection", bytesOf("afcad71368a1f1c96b8696fc7757"), true},
	VendorFragmentation:    {"FRAGMENTATION", bytesOf("4048b7d56ebce88525e7de7f00d6c2d3"), true},
	VendorXAUTH:            {"XAUTH", bytesOf("09002689dfd6b712"), true},
	VendorUnity:            {"Cisco Unity", bytesOf("12f5f28c457168a9702d9fe274cc"), true},
	VendorStrongSwan:       {"strongSwan", bytesOf("882fe56d6fd20dbc2251613b2ebe5beb"), false},
	VendorMSNT5:            {"MS NT5 ISAKMPOAKLEY", bytesOf("1e2b516905991c7d7c96fcbfb587e461"), true},
	VendorMSKeyModules:     {"MS key modules", bytesOf("01528bbbc00696121849ab9a1c5b2a51"), true},
	VendorMSNegotiation:    {"MS-Negotiation Discovery Capable", bytesOf("fb1de3cdf341b7ea16b7e5be0855f120"), false},
	VendorMSInitialContact: {"Vid-Initial-Contact", bytesOf("26244d38eddb61b3172a36e3d0cfb819"), false},
	VendorMSCGA:            {"IKE CGA version 1", bytesOf("e3a5966a76379fe707228231e5ce8652"), false},
	VendorLibreswan:        {"Libreswan", "OE-Libreswan-", true},
}

// bytesOf turns a constant of the table, in hex, into its bytes.
func bytesOf(text string) string {
	b, _ := hex.DecodeString(text)
	return string(b)
}

// Known names the vendor ID and returns what follows its constant: a version or
// capabilities, borrowed.
func (v VendorID) Known() (Vendor, []byte) {
	for i := VendorRFC3947; int(i) < len(vendors); i++ {
		id := vendors[i].id
		if len(v) < len(id) || string(v[:len(id)]) != id {
			continue
		}
		rest := v[len(id):]
		if vendors[i].version || len(rest) == 0 {
			return i, rest
		}
	}
	return VendorUnknown, nil
}

// ID returns a new payload with the constant of v and the given bytes behind it.
// VendorUnknown has none.
func (v Vendor) ID(version ...byte) VendorID {
	if v == VendorUnknown || int(v) >= len(vendors) {
		return nil
	}
	return append([]byte(vendors[v].id), version...)
}

// String returns the usual name.
func (v Vendor) String() string {
	if v == VendorUnknown || int(v) >= len(vendors) {
		return "unknown vendor ID"
	}
	return vendors[v].name
}

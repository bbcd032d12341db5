package wire

import (
	"encoding/binary"
	"net/netip"
)

// ModeConfig is an attribute payload: what IKEv1 asks and answers in a
// transaction exchange (draft-dukes-ike-mode-cfg-02, section 3.2). ConfigType has
// the same numbers in both versions.
//
//	+---------------+---------------+-------------------------------+
//	|     Type      |   RESERVED    |          Identifier           |
//	+---------------+---------------+-------------------------------+
//	~                          Attributes                           ~
type ModeConfig struct {
	Type       ConfigType
	Identifier uint16
	Attributes []Attribute
}

// Attributes of mode config (draft-dukes-ike-mode-cfg-02, section 3.3), of
// extended authentication (draft-ietf-ipsec-isakmp-xauth-06, section 6.2), and
// those of Cisco's clients.
const (
	ModeIP4Address AttributeType = 1
	ModeIP4Netmask AttributeType = 2
	ModeIP4DNS     AttributeType = 3
	ModeIP4NBNS    AttributeType = 4
	ModeExpiry     AttributeType = 5
	ModeVersion    AttributeType = 7 // APPLICATION_VERSION
	ModeIP6Address AttributeType = 8

	XAUTHType     AttributeType = 16520
	XAUTHUser     AttributeType = 16521
	XAUTHPassword AttributeType = 16522
	XAUTHPasscode AttributeType = 16523
	XAUTHMessage  AttributeType = 16524
	XAUTHStatus   AttributeType = 16527

	UnityBanner       AttributeType = 28672
	UnitySavePassword AttributeType = 28673
	UnityDomain       AttributeType = 28674 // UNITY_DEF_DOMAIN
	UnitySplitDNS     AttributeType = 28675
	UnitySplitInclude AttributeType = 28676
	UnityLocalLAN     AttributeType = 28678
	UnityPFS          AttributeType = 28679
)

// The values of two attributes of extended authentication.
const (
	XAUTHGeneric uint16 = 0 // XAUTH_TYPE: a name and a password
	XAUTHFail    uint16 = 0 // XAUTH_STATUS
	XAUTHOK      uint16 = 1
)

// PayloadType returns PayloadMode.
func (ModeConfig) PayloadType() PayloadType { return PayloadMode }

// AppendBody appends the body of the payload. The value of a short attribute must
// have two bytes.
func (c ModeConfig) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Type), 0)
	dst = binary.BigEndian.AppendUint16(dst, c.Identifier)
	for _, a := range c.Attributes {
		if a.Short {
			dst = binary.BigEndian.AppendUint16(dst, uint16(a.Type)|attributeTV)
		} else {
			dst = binary.BigEndian.AppendUint16(dst, uint16(a.Type)&^attributeTV)
			dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Value)))
		}
		dst = append(dst, a.Value...)
	}
	return dst
}

// ConsumeModeConfig reads the body of an attribute payload. Attributes that are
// not known, and lengths that a type does not have, are kept; padding behind the last one
// is not.
func ConsumeModeConfig(b []byte) (ModeConfig, error) {
	if len(b) < 4 {
		return ModeConfig{}, ErrShort
	}
	c := ModeConfig{Type: ConfigType(b[0]), Identifier: binary.BigEndian.Uint16(b[2:])}
	for b = b[4:]; !paddingOnly(b); {
		if len(c.Attributes) == MaxConfigAttributes {
			return ModeConfig{}, ErrCount
		}
		a, rest, err := ConsumeAttribute(b)
		if err != nil {
			return ModeConfig{}, err
		}
		c.Attributes, b = append(c.Attributes, a), rest
	}
	return c, nil
}

// Find returns the first attribute of type t.
func (c ModeConfig) Find(t AttributeType) (Attribute, bool) {
	for _, a := range c.Attributes {
		if a.Type == t {
			return a, true
		}
	}
	return Attribute{}, false
}

// AddBytes adds an attribute in the long form; v may be nil.
func (c *ModeConfig) AddBytes(t AttributeType, v []byte) {
	c.Attributes = append(c.Attributes, Attribute{Type: t, Value: v})
}

// AddShort adds an attribute in the short form.
func (c *ModeConfig) AddShort(t AttributeType, v uint16) {
	c.Attributes = append(c.Attributes, Attribute{Type: t, Short: true, Value: binary.BigEndian.AppendUint16(nil, v)})
}

// splitEntry is the length of one network of UnitySplitInclude: an address, a
// mask, and six bytes for a protocol and ports that nobody fills in.
const splitEntry = 14

// AppendSplit appends a network of IPv4 in the form of UnitySplitInclude.
func AppendSplit(dst []byte, p netip.Prefix) []byte {
	p = p.Masked()
	dst = append(dst, p.Addr().AsSlice()...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(uint64(0xffffffff)<<(32-p.Bits())))
	return append(dst, 0, 0, 0, 0, 0, 0)
}

// ParseSplit reads the networks of an attribute UnitySplitInclude. What is cut
// short, or has a mask with holes, refuses all of it.
func ParseSplit(b []byte) ([]netip.Prefix, error) {
	if len(b)%splitEntry != 0 {
		return nil, ErrLength
	}
	var list []netip.Prefix
	for ; len(b) > 0; b = b[splitEntry:] {
		n, whole := maskLen(b[4:8])
		if !whole {
			return nil, ErrValue
		}
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), n).Masked())
	}
	return list, nil
}

package wire

import (
	"encoding/binary"
	"net/netip"
)

// MaxConfigAttributes is the largest number of attributes a configuration payload
// may have.
const MaxConfigAttributes = 256

// Config is a configuration payload: what a client asks for and gets (RFC 7296,
// section 3.15).
type Config struct {
	Type       ConfigType
	Attributes []ConfigAttribute
}

// ConfigAttribute is one attribute. In a request the value may be empty, or be
// what the client had before.
type ConfigAttribute struct {
	Type  ConfigAttributeType
	Value []byte // borrowed
}

// PayloadType returns PayloadCP.
func (Config) PayloadType() PayloadType { return PayloadCP }

// AppendBody appends the body of the payload.
func (c Config) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Type), 0, 0, 0)
	for _, a := range c.Attributes {
		dst = binary.BigEndian.AppendUint16(dst, uint16(a.Type)&0x7fff)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Value)))
		dst = append(dst, a.Value...)
	}
	return dst
}

// ConsumeConfig reads the body of a configuration payload. Attributes that are
// not known, and lengths that a type does not have, are kept.
func ConsumeConfig(b []byte) (Config, error) {
	if len(b) < 4 {
		return Config{}, ErrShort
	}
	c := Config{Type: ConfigType(b[0])}
	for b = b[4:]; len(b) > 0; {
		if len(c.Attributes) == MaxConfigAttributes {
			return Config{}, ErrCount
		}
		if len(b) < 4 {
			return Config{}, ErrShort
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return Config{}, ErrShort
		}
		// The top bit is reserved (RFC 7296, section 3.15.1).
		t := ConfigAttributeType(binary.BigEndian.Uint16(b) & 0x7fff)
		c.Attributes = append(c.Attributes, ConfigAttribute{Type: t, Value: b[4 : 4+n : 4+n]})
		b = b[4+n:]
	}
	return c, nil
}

// AddrAttribute returns an attribute whose value is an address, such as a DNS
// server. ConfigIP6Address wants a PrefixAttribute.
func AddrAttribute(t ConfigAttributeType, a netip.Addr) ConfigAttribute {
	return ConfigAttribute{Type: t, Value: a.AsSlice()}
}

// PrefixAttribute returns an attribute whose value is an address and a prefix:
// for IPv6 its length in one byte (ConfigIP6Address, ConfigIP6Subnet), for IPv4
// the netmask (ConfigIP4Subnet). The address is not masked.
func PrefixAttribute(t ConfigAttributeType, p netip.Prefix) ConfigAttribute {
	v := p.Addr().AsSlice()
	if p.Addr().Is6() {
		return ConfigAttribute{Type: t, Value: append(v, byte(p.Bits()))}
	}
	return ConfigAttribute{Type: t, Value: binary.BigEndian.AppendUint32(v, ^uint32(0)<<(32-p.Bits()))}
}

// Addr returns the value of an attribute that begins with an address: 4, 8, 16
// or 17 bytes.
func (a ConfigAttribute) Addr() (netip.Addr, bool) {
	switch len(a.Value) {
	case 4, 8:
		return netip.AddrFromSlice(a.Value[:4])
	case 16, 17:
		return netip.AddrFromSlice(a.Value[:16])
	}
	return netip.Addr{}, false
}

// Prefix returns the value of an attribute that is a network: an IPv4 address
// with a netmask, or an IPv6 address with a length.
func (a ConfigAttribute) Prefix() (netip.Prefix, bool) {
	addr, ok := a.Addr()
	switch {
	case ok && len(a.Value) == 8:
		n, whole := maskLen(a.Value[4:])
		return netip.PrefixFrom(addr, n), whole
	case ok && len(a.Value) == 17 && a.Value[16] <= 128:
		return netip.PrefixFrom(addr, int(a.Value[16])), true
	}
	return netip.Prefix{}, false
}

package policy

import "net/netip"

// form is an IPv4 address that an IPv6 one stands for, and where in it.
type form struct {
	addr netip.Addr
	at   int // the bit at which it begins
}

// maxForms is how many IPv4 addresses one IPv6 address may stand for.
const maxForms = 4

// end is where a prefix of the IPv4 address ends in the IPv6 one. RFC 6052 has
// bits 64 to 71 left out.
func (f form) end(bits int) int {
	if f.at < 64 && f.at+bits > 64 {
		bits += 8
	}
	return f.at + bits
}

// Prefixes of addresses that stand for IPv4 ones.
var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 section 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765 section 2.1
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052 section 2.1
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056 section 2
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380 section 4
)

// formsOf returns the IPv4 addresses that a stands for, in memory of the caller.
func formsOf(into *[maxForms]form, a netip.Addr) []form {
	b, forms := a.As16(), into[:0]
	switch {
	case a.Is4In6(), compatible.Contains(a), translated.Contains(a), nat64.Contains(a):
		return append(forms, take(b, 12, 96))
	case nat64Local.Contains(a):
		return localForms(forms, b)
	case sixToFour.Contains(a):
		forms = append(forms, take(b, 2, 16))
	case teredo.Contains(a):
		client := [4]byte{^b[12], ^b[13], ^b[14], ^b[15]}
		return append(forms, take(b, 4, 32), form{netip.AddrFrom4(client), 96})
	}
	// ISATAP, in the 64 bits of the interface whatever the network is: RFC 5214
	// section 6.1.
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		forms = append(forms, take(b, 12, 96))
	}
	return forms
}

// localForms are what RFC 6052 section 2.2 may mean by an address of the prefix
// for translators of a site, which may use any length from 48 on. An address of
// "this network" is none: it comes out of the zeroes that the others leave.
func localForms(forms []form, b [16]byte) []form {
	for _, f := range [...]form{
		{netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}), 48},
		{netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), 56},
		{netip.AddrFrom4([4]byte{b[9], b[10], b[11], b[12]}), 72},
		take(b, 12, 96),
	} {
		if f.addr.As4()[0] != 0 {
			forms = append(forms, f)
		}
	}
	return forms
}

// take reads four bytes of an address.
func take(b [16]byte, from, bit int) form {
	return form{netip.AddrFrom4([4]byte(b[from:])), bit}
}

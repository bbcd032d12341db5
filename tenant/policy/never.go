package policy

import "net/netip"

// NeverReached are the destinations that no client reaches through culvert
// unless the tenant's policy allows them by name: this host's loopback, its
// links and other places where clouds answer with credentials, and what is no
// unicast address.
func NeverReached() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("100.100.100.200/32"), // metadata of Alibaba's cloud
		netip.MustParsePrefix("168.63.129.16/32"),   // Azure's
		netip.MustParsePrefix("192.0.0.192/32"),     // Oracle's
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("::ffff:0:0/96"),
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("fec0::/10"),
		netip.MustParsePrefix("fd00:ec2::254/128"),      // Amazon's
		netip.MustParsePrefix("fd00:ec2::23/128"),       // Amazon's, for pods
		netip.MustParsePrefix("fd20:ce::254/128"),       // Google's
		netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle's
		netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway's
		netip.MustParsePrefix("ff00::/8"),
	}
}

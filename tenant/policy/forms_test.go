package policy

import (
	"net/netip"
	"testing"
)

// Clouds answer with credentials at addresses that only look like others, and an
// IPv4 address has many spellings in IPv6: none of them is a way round.
func TestMetadataIsClosedInEverySpelling(t *testing.T) {
	r, err := NewReach(NeverReached(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, closed := range []string{
		"169.254.169.254", "169.254.0.23", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192",
		"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fe80::a9fe:a9fe", "fe80::1%1",
		"::ffff:169.254.169.254", "::ffff:8.8.8.8", "::169.254.169.254", "::8.8.8.8", "::ffff:0:169.254.169.254",
		"64:ff9b::169.254.169.254", "64:ff9b::168.63.129.16", "64:ff9b::127.0.0.1", "64:ff9b::100.100.100.200",
		"64:ff9b:1::169.254.169.254",         // a /96 of the prefix
		"64:ff9b:1:ab:cd:ef:169.254.169.254", // another
		"64:ff9b:1:a9fe:a9:fe00::",           // a /48: 16 bits, the octet that is left out, 16 bits
		"64:ff9b:1:a9fe:a9:feff:1234:5678",   // with whatever behind it
		"64:ff9b:1:12a9:fe:a9fe::",           // a /56
		"64:ff9b:1:1234:a9:fea9:fe00:0",      // a /64
		"2002:a9fe:a9fe::1", "2002:7f00:1::", "2002:a83f:8110:1:2:3:4:5",
		"2001:0:a9fe:a9fe::1",             // Teredo: the server
		"2001:0:808:808:0:1234:5601:5601", // and the client, inverted
		"2001:db8::5efe:169.254.169.254",  // ISATAP
		"2001:db8::200:5efe:169.254.169.254",
		"2002:808:808::5efe:169.254.169.254", // in 6to4
	} {
		if !r.Denies(netip.MustParseAddr(closed)) {
			t.Errorf("%s is open", closed)
		}
	}
	for _, open := range []string{
		"8.8.8.8", "100.100.100.201", "192.0.0.9", "168.63.129.17", "2001:db8::1", "fd00:ec2::253",
		"64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "64:ff9b:1:808:8:800::", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7",
		"2001:db8::5efe:8.8.8.8", "2001:db8::5eff:169.254.169.254",
	} {
		if r.Denies(netip.MustParseAddr(open)) {
			t.Errorf("%s is closed", open)
		}
	}
}

// What an operator says of an IPv4 network holds however clients spell it, and the
// spelling can be opened by itself.
func TestRulesHoldInEverySpelling(t *testing.T) {
	r, err := NewReach(append(NeverReached(), prefixes("10.0.0.0/8", "192.0.2.0/24")...),
		prefixes("10.7.0.0/16", "169.254.7.0/24", "64:ff9b::c000:200/120", "2002::/16"))
	if err != nil {
		t.Fatal(err)
	}
	for addr, denied := range map[string]bool{
		"64:ff9b::10.1.0.1": true, "64:ff9b::10.7.0.1": false, "64:ff9b::169.254.7.1": false, "64:ff9b::169.254.8.1": true,
		"64:ff9b::192.0.2.9": false, "2001:db8::5efe:192.0.2.9": true, "192.0.2.9": true,
		"2002:c000:209::1": true, // all of 6to4 does not name this network
		"2002:a07:1::1":    false,
	} {
		if got := r.Denies(netip.MustParseAddr(addr)); got != denied {
			t.Errorf("%s: denied %v", addr, got)
		}
	}
}

// closer is a set that closes besides.
type closer map[netip.Addr]bool

func (c closer) Closes(a netip.Addr) (int, bool) { return a.BitLen(), c[a] }

// What belongs to the host or to others is closed unless it is opened by a name
// that is at least as exact.
func TestWhatIsClosedBesides(t *testing.T) {
	others, err := NewReach(prefixes("10.200.0.0/16", "2001:db8:200::/48"), nil)
	if err != nil {
		t.Fatal(err)
	}
	host := closer{netip.MustParseAddr("192.0.2.1"): true, netip.MustParseAddr("192.0.2.2"): true}
	r, err := NewReach(NeverReached(), prefixes("10.0.0.0/8", "10.200.7.0/24", "192.0.2.0/24", "192.0.2.2/32", "2001:db8:200::/48"), others, host)
	if err != nil {
		t.Fatal(err)
	}
	for addr, denied := range map[string]bool{
		"10.200.1.2": true, "10.200.7.2": false, "10.1.1.1": false, "2001:db8:200::5": false, "64:ff9b::10.200.1.2": true,
		"192.0.2.1": true, "192.0.2.2": false, "192.0.2.3": false, "64:ff9b::192.0.2.1": true,
	} {
		if got := r.Denies(netip.MustParseAddr(addr)); got != denied {
			t.Errorf("%s: denied %v", addr, got)
		}
	}
	if a := netip.MustParseAddr("64:ff9b::10.200.1.2"); testing.AllocsPerRun(100, func() { r.Denies(a) }) != 0 {
		t.Error("asking allocates")
	}
}

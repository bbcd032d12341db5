package ppp

import (
	"net/netip"
	"testing"
)

func TestOptionsOfIPCP(t *testing.T) {
	f := loggedIn(t, Config{})
	for _, c := range [][2]string{
		{"3:00000000", "ConfNak 1 3:0a640007"},
		{"3:c0a80105", "ConfNak 1 3:0a640007"},
		{"", "ConfNak 1 3:0a640007"}, // it must have one
		{"129:00000000", "ConfNak 1 129:0a640035 3:0a640007"},
		{"2:002d0f01 3:0a640007", "ConfRej 1 2:002d0f01"},
		{"1:0a6400070a640001", "ConfRej 1 1:0a6400070a640001"},
		{"3:0a640007 130:00000000 131:01020304", "ConfRej 1 130:00000000"},
		{"3:0a640007 131:01020304", "ConfNak 1 131:0a640036"},
		{"3:0a64", "ConfRej 1 3:0a64"},
		{"3:0a640007 129:0a640035 131:0a640036", "ConfAck 1 3:0a640007 129:0a640035 131:0a640036"},
	} {
		f.want("< IPCP ConfReq 1 "+c[0], "> IPCP "+c[1])
	}
}

func TestServersAreToldAndRejected(t *testing.T) {
	f := script(t, Config{})
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	f.run(`< CHAP Response 1 ` + zeros49 + ` "alice"`)
	f.link.Authenticated(f.now, f.pending, Verdict{
		OK: true, Success: "S=x", Local: gatewayAddr, Peer: clientAddr,
		DNS:  []netip.Addr{netip.MustParseAddr("2001:db8::1"), dnsAddr},
		NBNS: []netip.Addr{dns2Addr},
	})
	f.drain()
	f.want("< IPCP ConfReq 1 3:00000000 129:00000000 130:00000000 131:00000000 132:00000000",
		"> IPCP ConfRej 1 131:00000000 132:00000000")
	f.want("< IPCP ConfReq 2 3:00000000 129:00000000 130:00000000",
		"> IPCP ConfNak 2 3:0a640007 129:0a640035 130:0a640036")
	f.want("< IPCP ConfRej 1 3:0a640001", "> IPCP ConfReq 2")
	f.want("< ack IPCP")
	f.want("< IPCP ConfReq 3 3:0a640007 129:0a640035 130:0a640036",
		"> IPCP ConfAck 3 3:0a640007 129:0a640035 130:0a640036",
		"! up invalid IP 10.100.0.7 dns [10.100.0.53] nbns [10.100.0.54] mru 1500 acfc false pfc false")
}

// A client that never takes its address is told to go, in words.
func TestAddressNotTaken(t *testing.T) {
	f := loggedIn(t, Config{EchoInterval: -1})
	f.run("< ack IPCP")
	for range maxFailure {
		f.run("< IPCP ConfReq 1 3:c0a80105")
	}
	f.want("< IPCP ConfReq 1 3:c0a80105", "> IPCP ConfRej 1 3:c0a80105")
	f.want("< IPCP ConfReq 2", "> IPCP ConfAck 2", `> LCP TermReq 2 "no address agreed on"`)
	f.want("< LCP TermAck 2",
		"! closed: no address agreed on: the client does not take the address that it was assigned (error 738)")
}

func TestIPCPRejected(t *testing.T) {
	f := loggedIn(t, Config{})
	f.run("< LCP ProtRej 1 =80210101000a03060a640001")
	f.want("< LCP TermAck 2", "! closed: the peer refuses IPCP (error 733)")
}

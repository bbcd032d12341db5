package ppp

import (
	"encoding/binary"
	"io"
	"slices"
	"time"
)

// Persona is how a known client behaves: which options it asks for in which order, how
// it numbers its packets, which protocols it tries, and what it says it is. Package
// persona has those of clients; the nil Persona is culvert itself. It says nothing of
// the server's role. Nobody writes to one that is in use.
type Persona struct {
	Name       string
	HostName   string // what it calls itself unless the owner says
	RASCodes   bool   // error numbers of Windows in its Terminate-Requests
	Version    string // its first Identification; empty: it sends none
	HostPrefix string // of its second, before the name of its host
	FirstID    uint8  // of the first packet
	SharedIDs  bool   // one count of identifiers for all protocols
	FreshIDs   bool   // a repetition gets a new identifier
	HardwareID bool   // its IPV6CP interface identifier is made of a hardware address

	LCP      string    // kinds of option, in order
	MRU      uint16    // bytes
	Networks []Network // in the order in which they begin
	IPCP     string    // kinds of option, in order
	Auth     AuthPolicy

	Echo         time.Duration // negative: it never asks
	EchoFailures uint8
}

// Network is a network control protocol that a client tries. IPCP's options are in
// Persona.IPCP, and IPV6CP's only one is made of the link's interface identifier.
type Network struct {
	Protocol Protocol
	Options  string
}

// orOwn returns the persona, or for nil our own.
func (p *Persona) orOwn() *Persona {
	if p == nil {
		return &ownPersona
	}
	return p
}

// has reports whether the client tries a network control protocol.
func (p *Persona) has(proto Protocol) bool {
	return slices.ContainsFunc(p.Networks, func(n Network) bool { return n.Protocol == proto })
}

// ownPersona is culvert, as server and as client.
var ownPersona = Persona{
	Name: "culvert", FirstID: 1,
	LCP: "\x01\x05\x07\x08", MRU: defaultMRU,
	Networks: []Network{{Protocol: ProtocolIPCP}}, IPCP: "\x03\x81\x83", // address, both DNS
	Auth: AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true, EAP: true},
}

// sendIdentifications says what we are, as Windows does once LCP is open: the version,
// the host's name, and a number that its logs have as well.
func (l *Link) sendIdentifications() {
	p := l.persona()
	if p.Version == "" {
		return
	}
	var correlation [16]byte
	io.ReadFull(l.rand, correlation[:])
	for _, text := range []string{p.Version, p.HostPrefix + l.client.host, string(correlation[:])} {
		b := startFrame(ProtocolLCP, identification, l.lcp.nextID())
		b = binary.BigEndian.AppendUint32(b, l.lcp.magic)
		l.send(finishFrame(append(b, text...)))
	}
}

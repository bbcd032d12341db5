package ike

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v2"
)

// DialV2 is what a dial by IKEv2 needs beyond what both versions share. Where it
// is set, DialConfig.Persona, IKE, ESP, Local and Remote are not used.
type DialV2 struct {
	// Persona is the kind of client to speak like; nil: culvert itself.
	Persona *v2.Persona
	// RemoteIdentity is whom we want; what answers must prove to be it. Empty:
	// anybody who proves anything.
	RemoteIdentity string
	Certificate    *Certificate // we prove who we are with
	EAP            bool         // we prove who we are by EAP: see the EAP event
	Verify         Verifier     // of the server's certificate; nil: it must use the PSK
	// Authorities are those whose certificates Verify takes: the server is asked for one
	// of theirs, and without any for none.
	Authorities   []*x509.Certificate
	Configure     bool       // ask for addresses and DNS
	Wish          netip.Addr // of IPv4, that we would like, as we had it before; invalid: any
	Local, Remote []netip.Prefix
	Transport     bool // L2TP in transport mode
	Childless     bool // no child SA with IKE_AUTH (RFC 6023)
	PPK, PPKID    []byte
	PPKRequired   bool
	// RedirectedFrom is the gateway that has sent us here; invalid: none has.
	RedirectedFrom netip.Addr
	// IKE and ESP, if set, are proposed instead of the persona's suites. The key
	// exchanges of the first of ESP are those of renewals, as with PFS.
	IKE []suite.IKE2Suite
	ESP []suite.ESP2
}

// dial2 starts a connection by IKEv2.
func (s *Server) dial2(now time.Time, c DialConfig) (Peer, error) {
	if !c.Path.Remote.IsValid() || !c.Path.Local.IsValid() || c.Path.Local.Addr().IsUnspecified() {
		return 0, fmt.Errorf("%w: a dial needs real addresses at both ends", ErrConfig)
	}
	persona := v2.Own()
	if c.V2.Persona != nil {
		persona = *c.V2.Persona
	}
	persona.Propose(c.V2.IKE, c.V2.ESP)
	policy := &Policy{}
	if c.Policy != nil {
		policy = c.Policy
	}
	p := s.newSession2()
	p.tenant, p.dialled = c.Tenant, []Path{c.Path, c.NATTPath}
	x := c.V2
	d := v2.DialConfig{
		Path: v2.Path(c.Path), NATTPath: v2.Path(c.NATTPath), Persona: persona, Tenant: c.Tenant, Identity: c.Identity,
		RemoteIdentity: x.RemoteIdentity, PSK: c.PSK, Certificate: x.Certificate, EAP: x.EAP, Verify: x.Verify, Authorities: x.Authorities, Configure: x.Configure,
		Wish: x.Wish, Beside: s.dialled2[c.NATTPath.ends()] != nil,
		Transport: x.Transport, Childless: x.Childless, PFS: c.PFS, PPK: x.PPK, PPKID: x.PPKID, PPKRequired: x.PPKRequired, RedirectedFrom: x.RedirectedFrom,
		Local: v2.Networks(x.Local...), Remote: v2.Networks(x.Remote...), Policy: policy2(policy),
	}
	if len(x.ESP) > 0 && x.ESP[0].Group != suite.GroupNone {
		d.PFS, d.Renewal = true, v2.Exchange{Group: x.ESP[0].Group, Additional: x.ESP[0].Additional}
	}
	if x.Transport {
		d.Local, d.Remote = v2.L2TP(c.Path.Local.Addr(), c.LocalPort), v2.L2TP(c.Path.Remote.Addr(), portL2TP)
	}
	machine, err := v2.Dial(now, p, s.config2(), d)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p.machine = machine
	p.announce()
	for _, path := range p.dialled {
		s.dialled2[path.ends()] = p
	}
	p.arm()
	return p.id, nil
}

package ike

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Phase 1 of IKEv1 with signatures: whose certificate it is that a dialler shows
// says which candidate it belongs to, as the key does otherwise.

// certificate1 is what we prove who we are with by IKEv1, which signs with RSA.
func (c *Candidate) certificate1() *v1.Certificate {
	if c.Certificate == nil || c.Certificate.Signer == nil || len(c.Certificate.Chain) == 0 {
		return nil
	}
	if _, ok := c.Certificate.Signer.Public().(*rsa.PublicKey); !ok {
		return nil
	}
	return (*v1.Certificate)(c.Certificate)
}

// identity1 is what we call ourselves by IKEv1: with a pre-shared key our address,
// for names are not known before.
func (c *Candidate) identity1(method suite.AuthMethod, path Path) wire.ID {
	switch {
	case !method.Signed():
		return wire.AddrID(path.Local.Addr(), 0, 0)
	case c.Identity != "":
		return wire.ID{Type: wire.IDFQDN, Data: []byte(c.Identity)}
	}
	return subjectID(c.Certificate)
}

// subjectID is the name of a certificate's owner as it stands there.
func subjectID(c *Certificate) wire.ID {
	return wire.ID{Type: wire.IDDERASN1DN, Data: c.Chain[0].RawSubject}
}

// judge has the peer's claim looked at, elsewhere.
func (i *isakmp) judge(now time.Time, m message) error {
	if i.initiator {
		i.s.consult(m.path, i.phase1.Judge(now, []v1.Verifier{v1.Verifier(i.peer.proof.Verify)}), false, i.computed)
		return nil
	}
	m.body = nil // borrowed
	i.lookFor = m
	i.await(now, len(i.candidates(m.path)))
	return nil
}

// consult asks list about the peer's claim.
func (i *isakmp) consult(now time.Time, list []candidate) {
	m := i.lookFor
	i.lookFor = message{}
	verifiers := make([]v1.Verifier, len(list))
	for n := range list {
		verifiers[n] = v1.Verifier(list[n].Verify)
	}
	i.s.consult(m.path, i.phase1.Judge(now, verifiers), true, func(now time.Time, result any) { i.judged(now, m, list, result) })
}

// judged goes on once it is known whether message 5 is believed.
func (i *isakmp) judged(now time.Time, m message, list []candidate, result any) {
	v, ok := result.(*v1.Verdict)
	switch {
	case i.state != negotiating:
		return
	case !ok: // too many are asked about already: when it says so again, perhaps
		i.s.sources.giveBack(m.path.Remote.Addr(), i.s.config.Limits, len(list))
		i.phase1.Reject()
		i.last.forget()
		i.arm()
		return
	}
	i.chain = v.Chain
	if v.Err == nil {
		i.s.tried(now, m.path.Remote.Addr(), len(list), v.Index+1, true)
	} else {
		i.s.tried(now, m.path.Remote.Addr(), len(list), len(list), false)
	}
	if v.Err != nil {
		i.disbelieve(now, m, list, v.Err)
	} else if i.accept(now, m, list[v.Index]) == nil {
		return
	}
	i.arm()
}

// claimed is who the client is, in words: what it calls itself, if nothing or its certificate
// says so. Else it would be whoever it likes, and could end the connections of others.
func (i *isakmp) claimed() string {
	id := i.phase1.Identity()
	if i.peer != nil && i.peer.dial != nil || len(i.chain) == 0 {
		return identityText(id)
	}
	named := wire.ID2{Type: id.Type, Data: id.Data}
	if auth.MatchID(i.chain[0], named, auth.PurposeClient) == nil {
		return identityText(id)
	}
	return identityText(wire.ID{Type: wire.IDFQDN, Data: []byte(auth.ClientName(i.chain[0], named))})
}

// disbelieve answers a message 5 that nobody accepts. Like wrongKey it lets the
// exchange go on for a while.
func (i *isakmp) disbelieve(now time.Time, m message, list []candidate, why error) {
	f := Failed{Path: m.path, Cause: CauseAuthentication,
		Detail: fmt.Sprintf("the client calls itself %v: %v", i.phase1.Claimed(), why)}
	if len(list) == 1 {
		f.Tenant = list[0].Tenant
	}
	i.s.fail(now, f)
	i.last.reply = i.phase1.Refuse(wire.MessageID(i.s.random()|1), wire.NotifyAuthenticationFailed)
	i.post(m.path, i.last.reply)
	i.phase1.Reject()
	if i.badKeys++; i.badKeys >= maxBadKeys {
		i.forget()
	}
}

// handleRefusal takes a protected notification in place of the last message of a
// phase 1 of ours. With signatures it comes from whoever shares the secret of
// Diffie-Hellman with us, which is as much as is known of the other side by then.
func (i *isakmp) handleRefusal(now time.Time, m message) error {
	chain, err := i.phase1.OpenRefusal(m.header, m.body)
	if err != nil {
		return dropped(err)
	}
	p, ok := wire.Find(chain, wire.PayloadNotify)
	if !ok {
		return ErrState
	}
	n, err := wire.ConsumeNotify(p.Body)
	if err != nil {
		return malformed(err)
	}
	if !n.Type.IsError() {
		return ErrState
	}
	peer := i.peer
	i.forget()
	peer.mainFailed(now, i, CauseAuthentication, "the other side answered "+n.Type.String()+" to who we are")
	return nil
}

// check refuses a dial that could prove nothing.
func (d *dialler) check() error {
	c := d.config
	switch {
	case c.Group != "" && (c.Certificate != nil || len(c.PSK) == 0):
		return fmt.Errorf("%w: a group has a pre-shared key", ErrConfig)
	case c.Certificate == nil && len(c.PSK) == 0:
		return fmt.Errorf("%w: a dial needs a pre-shared key, or a certificate", ErrConfig)
	case c.Certificate == nil:
		return nil
	case c.Verify == nil:
		return fmt.Errorf("%w: a dial by certificate needs Verify", ErrConfig)
	case (&Candidate{Certificate: c.Certificate}).certificate1() == nil:
		return fmt.Errorf("%w: IKEv1 needs a certificate with an RSA key", ErrConfig)
	}
	return nil
}

// proof is how we and the server prove who we are.
func (d *dialler) proof() Candidate {
	c := Candidate{Tenant: d.config.Tenant, PSK: d.config.PSK, Policy: d.config.Policy, Certificate: d.config.Certificate}
	if c.Certificate != nil {
		c.PSK, c.Verify = nil, d.verifyServer
	}
	return c
}

// verifyServer looks at the certificate of who answers. It runs elsewhere.
func (d *dialler) verifyServer(now time.Time, chain []*x509.Certificate, id wire.ID2) error {
	if err := auth.MatchID(chain[0], id, auth.PurposeServer); err != nil {
		return err
	}
	if want := d.config.RemoteIdentity; want != "" {
		if err := auth.MatchHost(chain[0], want); err != nil {
			return err
		}
	}
	return d.config.Verify(now, chain, id)
}

// maxDatagram is the longest message of IKEv1 that is sent whole.
func (s *Server) maxDatagram() int {
	if s.config.MaxDatagram > 0 {
		return s.config.MaxDatagram
	}
	return 1228
}

// post sends a message of phase 1: in fragments where it is long and the peer takes
// them. Windows takes them with certificates only.
func (i *isakmp) post(path Path, msg []byte) {
	if i.peer == nil && !i.initiator && !i.allowance.Allows(path.Remote.Addr(), len(msg)) {
		return
	}
	if len(msg) <= i.s.maxDatagram() || !i.takesFragments() {
		i.s.send(path, msg)
		return
	}
	for _, piece := range fragment(msg, i.s.maxDatagram()) {
		i.s.send(path, piece)
	}
}

func (i *isakmp) takesFragments() bool {
	if i.sa != nil {
		return i.sa.Features.Fragmentation && i.sa.Choice.Auth.Signed()
	}
	f := i.phase1.Features()
	return f.Fragmentation && i.phase1.Choice().Auth.Signed()
}

// withFragmentation announces that we take fragments, if list does not.
func withFragmentation(list []wire.VendorID) []wire.VendorID {
	for _, v := range list {
		if known, _ := v.Known(); known == wire.VendorFragmentation {
			return list
		}
	}
	return append(slices.Clip(list), wire.VendorFragmentation.ID(0x80, 0, 0, 0))
}

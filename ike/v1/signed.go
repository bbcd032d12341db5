package v1

import (
	"bytes"
	"crypto"
	"crypto/sha3"
	"crypto/x509"
	"errors"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Phase 1 in main mode with signatures (RFC 2409, section 5.1):
//
//	     Initiator                          Responder
//	3    HDR, KE, Ni, NAT-D       -->
//	4                             <--       HDR, KE, Nr, CERTREQ, NAT-D
//	5    HDR*, IDii, CERT, SIG_I,
//	         CERTREQ              -->
//	6                             <--       HDR*, IDir, CERT, SIG_R
//
// The keys need no secret but the shared one, so that the responder reads message
// 5 before it knows who wrote it. Parsing certificates, finding a path, verifying
// and signing are computations, which run elsewhere.

// What is read of certificates before their owner has proved who it is.
const (
	maxCertificates     = 12
	maxCertificateBytes = 16 << 10
	// maxRequests is how many authorities we name in CERTREQ payloads, and
	// maxRequestBytes how long their names may be together; beyond it we ask for a
	// certificate of any.
	maxRequests     = 16
	maxRequestBytes = 2 << 10
)

// Certificate is what one side proves who it is with.
type Certificate struct {
	Chain  []*x509.Certificate // the leaf first, without the root
	Signer crypto.Signer       // of an RSA key; used in computations only
}

// Verifier decides whether a chain, whose leaf has proved that it holds its key,
// is that of somebody known. It runs in a computation. id is what the peer calls
// itself; the error says what is wrong.
type Verifier func(now time.Time, chain []*x509.Certificate, id wire.ID2) error

// claim is who the peer says that it is, in message 5 or 6.
type claim struct {
	id             wire.ID
	idBody         []byte
	certs          []wire.Cert
	sig            []byte
	next           []byte // the IV behind the message
	initialContact bool
}

// signed reports whether both sides sign.
func (m *Phase1) signed() bool { return m.choice.Auth.Signed() }

// readClaim decrypts message 5 or 6 and takes ID, CERT and SIG out of it.
func (m *Phase1) readClaim(h wire.Header, body []byte) (*claim, error) {
	chain, next, err := m.decrypt(h, bytes.Clone(body))
	if err != nil {
		return nil, err
	}
	idp, ok := wire.Find(chain, wire.PayloadID)
	sig, ok2 := wire.Find(chain, wire.PayloadSignature)
	if !ok || !ok2 || len(sig.Body) == 0 {
		return nil, ErrPayloads
	}
	c := &claim{idBody: idp.Body, sig: sig.Body, next: next, initialContact: hasInitialContact(chain)}
	if c.id, err = wire.ConsumeID(bytes.Clone(idp.Body)); err != nil {
		return nil, err
	}
	c.certs, err = readCerts(chain)
	return c, err
}

// readCerts takes the certificates out of a message. Other things that CERT
// payloads may hold, such as revocation lists, are passed over.
func readCerts(chain []wire.Payload) ([]wire.Cert, error) {
	var list []wire.Cert
	total := 0
	for _, p := range chain {
		if p.Type != wire.PayloadCert {
			continue
		}
		c, err := wire.ConsumeCert(p.Body)
		if err != nil {
			return nil, err
		}
		if c.Encoding != wire.CertX509Signature && c.Encoding != wire.CertPKCS7 {
			continue
		}
		total += len(c.Data)
		if len(list) == maxCertificates || total > maxCertificateBytes {
			return nil, ErrCertificates
		}
		list = append(list, c)
	}
	return list, nil
}

// parse reads the certificates. Windows wraps its chain in PKCS#7.
func (c *claim) parse() ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for _, p := range c.certs {
		if p.Encoding == wire.CertPKCS7 {
			more, err := auth.ParsePKCS7(p.Data)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
			continue
		}
		more, err := auth.ParseCerts([]wire.Cert2{wire.Cert2(p)})
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	if len(list) > maxCertificates {
		return nil, ErrCertificates
	}
	return list, nil
}

// signers puts the certificate whose key made the signature over hash in front:
// PKCS#7 is a set and has no order.
func (c *claim) signers(list []*x509.Certificate, hash []byte) ([]*x509.Certificate, error) {
	var first error
	for n := range list {
		err := auth.VerifyHash(list[n].PublicKey, hash, c.sig)
		if err == nil {
			list[0], list[n] = list[n], list[0]
			return list, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Verdict is what came of looking at a claim.
type Verdict struct {
	Index int   // of the Verifier that accepts the peer
	Err   error // why none does
	// Chain is what the peer proved itself with, the certificate of its key first.
	Chain []*x509.Certificate
}

// judge is the computation that finds the first of list that accepts the claim,
// whose signature is over hash.
func (c *claim) judge(now time.Time, hash []byte, list []Verifier) *Verdict {
	chain, err := c.parse()
	if err == nil && len(chain) == 0 {
		err = &auth.CertificateError{Fault: auth.FaultMissing}
	}
	if err == nil {
		chain, err = c.signers(chain, hash)
	}
	if err != nil {
		return &Verdict{Err: err}
	}
	verdict := &Verdict{Err: ErrAuth}
	for n, verify := range list {
		err := verify(now, chain, wire.ID2{Type: c.id.Type, Data: c.id.Data})
		if err == nil {
			return &Verdict{Index: n, Chain: chain}
		}
		if verdict.Err == ErrAuth || unknownCA(verdict.Err) {
			verdict.Err = err
		}
	}
	return verdict
}

// unknownCA is the least telling of the things that may be wrong: somebody else's
// authority is unknown, too.
func unknownCA(err error) bool {
	var c *auth.CertificateError
	return errors.As(err, &c) && c.Fault == auth.FaultUnknownCA
}

// proofOf is what one side authenticates.
func (m *Phase1) proofOf(initiator bool, idBody []byte) auth.Proof {
	if initiator {
		return auth.Proof{Own: m.gxi, Other: m.gxr, OwnCookie: m.i, OtherCookie: m.r, SA: m.offer, ID: idBody}
	}
	return auth.Proof{Own: m.gxr, Other: m.gxi, OwnCookie: m.r, OtherCookie: m.i, SA: m.offer, ID: idBody}
}

// signature is the result of signing.
type signature struct {
	sig []byte
	err error
}

// sign returns the computation of our SIG payload, as identity.
func (m *Phase1) sign(identity wire.ID) (func() any, error) {
	seed, err := random(m.rand, 64)
	if err != nil {
		return nil, err
	}
	signer := m.own.Signer
	hash := m.proofOf(m.initiator, identity.AppendBody(nil)).Hash(m.choice.Hash, m.skeyid)
	return func() any {
		stream := sha3.NewSHAKE256()
		stream.Write(seed)
		sig, err := auth.SignHash(stream, signer, hash)
		return &signature{sig, err}
	}, nil
}

// addProof adds ID, CERT and SIG to message 5 or 6. Our certificate is sent
// whether or not it was asked for: Apple's clients do not ask.
func (m *Phase1) addProof(msg *wire.Message, identity wire.ID, sig []byte) {
	msg.Add(identity)
	for _, c := range m.own.Chain {
		msg.Add(wire.Cert{Encoding: wire.CertX509Signature, Data: c.Raw})
	}
	msg.Add(wire.Signature(sig))
}

// addRequests asks for a certificate of one of the authorities that we trust (RFC
// 2408, section 3.10), or of any where there are too many to be named.
func (m *Phase1) addRequests(msg *wire.Message) {
	total := 0
	for _, c := range m.authorities {
		total += len(c.RawSubject)
	}
	if len(m.authorities) == 0 || len(m.authorities) > maxRequests || total > maxRequestBytes {
		msg.Add(wire.CertRequest{Encoding: wire.CertX509Signature})
		return
	}
	for _, c := range m.authorities {
		msg.Add(wire.CertRequest{Encoding: wire.CertX509Signature, Authority: c.RawSubject})
	}
}

// Refuse returns a protected notification that ends an exchange with signatures,
// from the side that does not believe the last message of the other (RFC 2409,
// section 5.7). id must not be zero.
func (m *Phase1) Refuse(id wire.MessageID, why wire.NotifyType) []byte {
	sa := *m.sa
	sa.last = m.thread.iv
	if m.claim != nil {
		sa.last = m.claim.next
	}
	return sa.Inform(id, wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP,
		SPI: wire.CookieSPI(m.i, m.r), Type: why})
}

// OpenRefusal reads a protected notification that came in place of message 6.
func (m *Phase1) OpenRefusal(h wire.Header, body []byte) ([]wire.Payload, error) {
	if m.sa == nil {
		return nil, ErrState
	}
	sa := *m.sa
	sa.last = m.thread.iv
	return sa.OpenInform(h, body)
}

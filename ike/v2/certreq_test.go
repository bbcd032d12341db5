package v2

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestServersAreAskedForACertificateOfOurAuthority: CERTREQ names the authority by the
// SHA-1 hash of its public key (RFC 7296, section 3.7), whoever we speak like. Who knows no
// authority asks for nothing: a CERTREQ without any hash is malformed, and OpenIKED drops
// the message that it stands in.
func TestServersAreAskedForACertificateOfOurAuthority(t *testing.T) {
	ca := &x509.Certificate{RawSubjectPublicKeyInfo: []byte("key")}
	for _, name := range Personas() {
		p, _ := PersonaNamed(name)
		d := &DialConfig{Persona: p, Verify: func(time.Time, []*x509.Certificate, wire.ID2) error { return nil }}
		task := &authTask{s: &Session{initiator: true, dial: d}}
		if p.OtherAuthorities == 0 {
			if list := task.slot(nil, SlotCertReq); len(list) != 0 {
				t.Errorf("%s: without authorities: %+v", name, list)
			}
		}
		d.Authorities = []*x509.Certificate{ca}
		list := task.slot(nil, SlotCertReq)
		if len(list) != 1 {
			t.Fatalf("%s: %+v", name, list)
		}
		got, hash := list[0].AppendBody(nil), sha1.Sum([]byte("key"))
		if got[0] != byte(wire.CertX509Signature) || len(got)%len(hash) != 1 || !bytes.Contains(got[1:], hash[:]) {
			t.Errorf("%s: %x", name, got)
		}
	}
}

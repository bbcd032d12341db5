package wire

import (
	"crypto/x509"
	"encoding/binary"
	"net/netip"
)

// KeyExchange2 is a key exchange payload of IKEv2 (RFC 7296, section 3.4).
type KeyExchange2 struct {
	Group uint16 // "Diffie-Hellman Group Num", the number of a TransformKE
	Data  []byte // borrowed
}

// PayloadType returns PayloadKE2.
func (KeyExchange2) PayloadType() PayloadType { return PayloadKE2 }

// AppendBody appends the body of the payload.
func (k KeyExchange2) AppendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, k.Group)
	return append(append(dst, 0, 0), k.Data...)
}

// ConsumeKeyExchange2 reads the body of a KE payload.
func ConsumeKeyExchange2(b []byte) (KeyExchange2, error) {
	if len(b) < 5 {
		return KeyExchange2{}, ErrShort
	}
	return KeyExchange2{Group: binary.BigEndian.Uint16(b), Data: b[4:]}, nil
}

// ID2 is an identification payload of IKEv2: IDi or IDr (RFC 7296, section 3.5).
// Its body, as AppendBody writes it, is what AUTH covers; for a received one take
// the Body of the Payload, with its reserved bytes as they came.
type ID2 struct {
	Responder bool // IDr
	Type      IDType
	Data      []byte // borrowed
}

// PayloadType returns PayloadIDi or PayloadIDr.
func (id ID2) PayloadType() PayloadType { return sided(id.Responder, PayloadIDi, PayloadIDr) }

// AppendBody appends the body of the payload.
func (id ID2) AppendBody(dst []byte) []byte {
	return append(append(dst, byte(id.Type), 0, 0, 0), id.Data...)
}

// ConsumeID2 reads the body of the ID payload of type t, which is PayloadIDi or
// PayloadIDr.
func ConsumeID2(t PayloadType, b []byte) (ID2, error) {
	if len(b) < 4 {
		return ID2{}, ErrShort
	}
	id := ID2{Responder: t == PayloadIDr, Type: IDType(b[0]), Data: b[4:]}
	if want := idDataLen(id.Type); want != 0 && len(id.Data) != want {
		return ID2{}, ErrLength
	}
	return id, nil
}

// Addr returns the address that the ID is.
func (id ID2) Addr() (netip.Addr, bool) { return ID{Type: id.Type, Data: id.Data}.Addr() }

// String describes the ID for a log line. What the peer chose is quoted; a
// distinguished name is written in the usual form.
func (id ID2) String() string {
	if id.Type == IDDERASN1DN {
		if dn, ok := dnText(id.Data); ok {
			return id.Type.String() + " " + quoted(dn)
		}
	}
	return ID{Type: id.Type, Data: id.Data}.String()
}

// dnText reads a DER name.
func dnText(der []byte) (string, bool) {
	name, err := ParseDN(der)
	if err != nil {
		return "", false
	}
	return name.String(), true
}

// Auth is an authentication payload (RFC 7296, section 3.8).
type Auth struct {
	Method AuthMethod2
	Data   []byte // borrowed
}

// PayloadType returns PayloadAuth.
func (Auth) PayloadType() PayloadType { return PayloadAuth }

// AppendBody appends the body of the payload.
func (a Auth) AppendBody(dst []byte) []byte {
	return append(append(dst, byte(a.Method), 0, 0, 0), a.Data...)
}

// ConsumeAuth reads the body of an AUTH payload.
func ConsumeAuth(b []byte) (Auth, error) {
	if len(b) < 5 {
		return Auth{}, ErrShort
	}
	return Auth{Method: AuthMethod2(b[0]), Data: b[4:]}, nil
}

// Nonce2 is a nonce payload of IKEv2: 16 to 256 bytes (RFC 7296, section 3.9).
type Nonce2 []byte

// PayloadType returns PayloadNonce2.
func (Nonce2) PayloadType() PayloadType { return PayloadNonce2 }

// AppendBody appends the nonce.
func (n Nonce2) AppendBody(dst []byte) []byte { return append(dst, n...) }

// ConsumeNonce2 reads the body of a nonce payload.
func ConsumeNonce2(b []byte) (Nonce2, error) {
	switch {
	case len(b) < 16:
		return nil, ErrShort
	case len(b) > 256:
		return nil, ErrLength
	}
	return Nonce2(b), nil
}

// Cert2 is a certificate payload of IKEv2 (RFC 7296, section 3.6).
type Cert2 struct {
	Encoding CertEncoding
	Data     []byte // borrowed
}

// PayloadType returns PayloadCert2.
func (Cert2) PayloadType() PayloadType { return PayloadCert2 }

// AppendBody appends the body of the payload.
func (c Cert2) AppendBody(dst []byte) []byte {
	return append(append(dst, byte(c.Encoding)), c.Data...)
}

// ConsumeCert2 reads the body of a certificate payload.
func ConsumeCert2(b []byte) (Cert2, error) {
	c, err := ConsumeCert(b)
	return Cert2(c), err
}

// AuthorityLen is the length of an entry of CertRequest2: the SHA-1 hash of the
// SubjectPublicKeyInfo of an authority.
const AuthorityLen = 20

// CertRequest2 is a certificate request payload of IKEv2 (RFC 7296, section 3.7).
type CertRequest2 struct {
	Encoding    CertEncoding
	Authorities []byte // AuthorityLen bytes each; borrowed
}

// PayloadType returns PayloadCertReq2.
func (CertRequest2) PayloadType() PayloadType { return PayloadCertReq2 }

// AppendBody appends the body of the payload.
func (c CertRequest2) AppendBody(dst []byte) []byte {
	return append(append(dst, byte(c.Encoding)), c.Authorities...)
}

// VendorID2 is a vendor ID payload of IKEv2 (RFC 7296, section 3.12).
type VendorID2 []byte

// PayloadType returns PayloadVendorID2.
func (VendorID2) PayloadType() PayloadType { return PayloadVendorID2 }

// AppendBody appends the vendor ID.
func (v VendorID2) AppendBody(dst []byte) []byte { return append(dst, v...) }

// EAP is an EAP payload: one EAP packet (RFC 7296, section 3.16).
type EAP []byte

// PayloadType returns PayloadEAP.
func (EAP) PayloadType() PayloadType { return PayloadEAP }

// AppendBody appends the packet.
func (e EAP) AppendBody(dst []byte) []byte { return append(dst, e...) }

// ConsumeEAP reads the body of an EAP payload and checks that the packet's own
// length is that of the payload.
func ConsumeEAP(b []byte) (EAP, error) {
	if len(b) < 4 {
		return nil, ErrShort
	}
	switch n := int(binary.BigEndian.Uint16(b[2:])); {
	case n > len(b):
		return nil, ErrShort
	case n != len(b):
		return nil, ErrLength
	}
	return EAP(b), nil
}

func sided(responder bool, i, r PayloadType) PayloadType {
	if responder {
		return r
	}
	return i
}

// AuthorityHash is the entry of an authority in a CertRequest2.
func AuthorityHash(c *x509.Certificate) [AuthorityLen]byte { return sha1Sum(c.RawSubjectPublicKeyInfo) }

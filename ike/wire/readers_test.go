package wire

// Readers of what we only write: with them each body is parsed and appended again.

// ConsumeCertRequest reads the body of a certificate request payload.
func ConsumeCertRequest(b []byte) (CertRequest, error) {
	if len(b) < 1 {
		return CertRequest{}, ErrShort
	}
	return CertRequest{Encoding: CertEncoding(b[0]), Authority: b[1:]}, nil
}

// ConsumeHash reads the body of a hash payload.
func ConsumeHash(b []byte) (Hash, error) {
	if len(b) == 0 {
		return nil, ErrShort
	}
	return Hash(b), nil
}

// ConsumeSignature reads the body of a signature payload.
func ConsumeSignature(b []byte) (Signature, error) {
	if len(b) == 0 {
		return nil, ErrShort
	}
	return Signature(b), nil
}

// ConsumeKeyExchange reads the body of a KE payload.
func ConsumeKeyExchange(b []byte) (KeyExchange, error) {
	if len(b) == 0 {
		return nil, ErrShort
	}
	return KeyExchange(b), nil
}

// ConsumeNATD reads the body of a NAT-D payload of type t.
func ConsumeNATD(t PayloadType, b []byte) (NATD, error) {
	if !IsNATD(t) {
		return NATD{}, ErrNext
	}
	if len(b) == 0 {
		return NATD{}, ErrShort
	}
	return NATD{Type: t, Hash: b}, nil
}

// ConsumeCertRequest2 reads the body of a certificate request payload.
func ConsumeCertRequest2(b []byte) (CertRequest2, error) {
	if len(b) < 1 {
		return CertRequest2{}, ErrShort
	}
	c := CertRequest2{Encoding: CertEncoding(b[0]), Authorities: b[1:]}
	if c.Encoding == CertX509Signature && len(c.Authorities)%AuthorityLen != 0 {
		return CertRequest2{}, ErrLength
	}
	return c, nil
}

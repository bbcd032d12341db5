package wire

// Cert is a certificate payload (RFC 2408, section 3.9).
type Cert struct {
	Encoding CertEncoding
	Data     []byte // borrowed
}

// PayloadType returns PayloadCert.
func (Cert) PayloadType() PayloadType { return PayloadCert }

// AppendBody appends the body of the payload.
func (c Cert) AppendBody(dst []byte) []byte {
	return append(append(dst, byte(c.Encoding)), c.Data...)
}

// ConsumeCert reads the body of a certificate payload.
func ConsumeCert(b []byte) (Cert, error) {
	if len(b) < 2 {
		return Cert{}, ErrShort
	}
	return Cert{Encoding: CertEncoding(b[0]), Data: b[1:]}, nil
}

// CertRequest is a certificate request payload (RFC 2408, section 3.10).
type CertRequest struct {
	Encoding  CertEncoding
	Authority []byte // DER name of an authority, empty: any; borrowed
}

// PayloadType returns PayloadCertRequest.
func (CertRequest) PayloadType() PayloadType { return PayloadCertRequest }

// AppendBody appends the body of the payload.
func (c CertRequest) AppendBody(dst []byte) []byte {
	return append(append(dst, byte(c.Encoding)), c.Authority...)
}

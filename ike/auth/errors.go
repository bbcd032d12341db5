package auth

import "errors"

var (
	// ErrSignature: a signature, or a shared key's proof, is wrong.
	ErrSignature = errors.New("auth: signature does not verify")
	// ErrMethod: an authentication method or algorithm that is not accepted from
	// this key or at all.
	ErrMethod = errors.New("auth: authentication method not accepted")
	// ErrHash: the peers have no hash algorithm in common.
	ErrHash = errors.New("auth: no common hash algorithm")
	// ErrCertificate: a certificate is not good. The error itself is a
	// *CertificateError, which says why.
	ErrCertificate = errors.New("auth: certificate refused")
)

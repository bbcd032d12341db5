package eap

import (
	"crypto/tls"
	"crypto/x509"
)

// PairOf is a certificate, the leaf first, and its key as TLS wants them.
func PairOf(chain []*x509.Certificate, key any) tls.Certificate {
	c := tls.Certificate{PrivateKey: key}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c
}

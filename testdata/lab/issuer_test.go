package lab

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// An issuer is an authority that is not `culvert ca`: one below another, and one that makes what
// `culvert ca` would not.
type issuer struct {
	dir  string
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

var serials atomic.Int64

// newIssuer makes an authority below another one, or a root, and writes NAME.crt into dir.
func newIssuer(t *testing.T, dir, name string, by *issuer) *issuer {
	t.Helper()
	i := &issuer{dir: dir}
	c := template(name)
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	if by == nil {
		i.cert, i.key = sign(t, dir, name, c, nil)
	} else {
		i.cert, i.key = sign(t, dir, name, c, by)
	}
	return i
}

// issue writes NAME.crt and NAME.key of a certificate for clients into the issuer's directory, changed by edit.
func (i *issuer) issue(t *testing.T, name string, edit func(c *x509.Certificate)) {
	t.Helper()
	c := template(name)
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if edit != nil {
		edit(c)
	}
	sign(t, i.dir, name, c, i)
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1000 + serials.Add(1)), Subject: pkix.Name{Organization: []string{"culvert lab"}, CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
}

// sign makes a key, has the certificate signed (by itself without by), and writes both.
func sign(t *testing.T, dir, name string, c *x509.Certificate, by *issuer) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", pkcs8)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

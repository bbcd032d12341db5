package ca

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newCA(t *testing.T, o Options) (*CA, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if o.Name == "" {
		o.Name = "Test Authority"
	}
	if o.Now.IsZero() {
		o.Now = now
	}
	o.Rand = rand.Reader
	a, err := Init(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, dir
}

func verify(a *CA, c *x509.Certificate, usage x509.ExtKeyUsage, host string) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}, DNSName: host})
	return err
}

// TestServer: what native clients look for is there.
func TestServer(t *testing.T) {
	for _, ec := range []bool{false, true} {
		a, dir := newCA(t, Options{ECDSA: ec, CRLURL: "http://vpn.example.org/crl"})
		got, err := a.Server(ServerOptions{Names: []string{"vpn.example.org", "192.0.2.1", "2001:db8::1"}})
		if err != nil {
			t.Fatal(err)
		}
		c := got.Certificate
		for _, host := range []string{"vpn.example.org", "192.0.2.1", "2001:db8::1"} {
			if err := verify(a, c, x509.ExtKeyUsageServerAuth, host); err != nil {
				t.Errorf("%s: %v", host, err)
			}
			if !slices.Contains(c.DNSNames, host) {
				t.Errorf("%s is no dNSName", host)
			}
		}
		if len(c.IPAddresses) != 2 || len(c.UnknownExtKeyUsage) != 1 || !c.UnknownExtKeyUsage[0].Equal(ikeIntermediate) ||
			c.Subject.CommonName != "vpn.example.org" || c.CRLDistributionPoints[0] != "http://vpn.example.org/crl" || c.IsCA {
			t.Errorf("%+v", c)
		}
		if c.NotAfter.Sub(c.NotBefore) > 825*24*time.Hour {
			t.Errorf("Apple's devices refuse %v", c.NotAfter.Sub(c.NotBefore))
		}
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if ec || key.N.BitLen() != rsaBits {
				t.Error(key.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if !ec {
				t.Error("ECDSA")
			}
		}
		wantModes(t, dir)
		openssl(t, "verify", "-attime", "1777636800", "-CAfile", filepath.Join(dir, "ca.crt"), "-purpose", "sslserver", got.Files[1])
	}
}

// wantModes: keys are for their owner only.
func wantModes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		secret := d.IsDir() || strings.HasSuffix(p, ".key") || strings.HasSuffix(p, ".p12")
		if secret && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openssl runs the program where it is there: a second opinion.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		return ""
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestClient(t *testing.T) {
	a, dir := newCA(t, Options{ECDSA: true})
	for _, o := range []ClientOptions{{Name: "alice@example.org", Password: "open"}, {Name: "bob", Password: "open", Modern: true}} {
		got, err := a.Client(o)
		if err != nil || len(got.Files) != 3 {
			t.Fatal(err)
		}
		if err := verify(a, got.Certificate, x509.ExtKeyUsageClientAuth, ""); err != nil {
			t.Error(err)
		}
		b, err := os.ReadFile(got.Files[2])
		if err != nil {
			t.Fatal(err)
		}
		key, c, more, err := pkcs12.DecodeChain(b, "open")
		if err != nil || !c.Equal(got.Certificate) || len(more) != 1 || !more[0].Equal(a.cert) || !key.(*ecdsa.PrivateKey).PublicKey.Equal(c.PublicKey) {
			t.Errorf("%v %v", c, err)
		}
		if _, _, _, err := pkcs12.DecodeChain(b, "guess"); err == nil {
			t.Error("opens with another password")
		}
		openssl(t, "pkcs12", "-in", got.Files[2], "-passin", "pass:open", "-nodes", "-out", filepath.Join(t.TempDir(), "out"))
	}
	if c := a.Entries(); len(c) != 2 || c[0].Name != "alice@example.org" || c[0].Kind != "client" {
		t.Errorf("%+v", c)
	}
	wantModes(t, dir)
}

// TestNothingIsOverwritten, neither the authority nor what it issued.
func TestNothingIsOverwritten(t *testing.T) {
	a, dir := newCA(t, Options{ECDSA: true})
	if _, err := a.Client(ClientOptions{Name: "bob", Password: "x"}); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "bob.key"))
	if _, err := a.Client(ClientOptions{Name: "bob", Password: "x"}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if _, err := a.Server(ServerOptions{Names: []string{"bob"}}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	a.Close()
	if _, err := Init(dir, Options{Name: "x", ECDSA: true, Now: now, Rand: rand.Reader}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "bob.key")); string(before) != string(after) {
		t.Error("the key changed")
	}
}

func TestRevoke(t *testing.T) {
	a, dir := newCA(t, Options{ECDSA: true})
	bob, err := a.Client(ClientOptions{Name: "bob", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if list := readList(t, a, dir); list.Number.Int64() != 1 || len(list.RevokedCertificateEntries) != 0 {
		t.Errorf("%+v", list)
	}
	a.Close()
	if a, err = Open(dir, now.Add(time.Hour), rand.Reader); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Revoke("bob", "bored"); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	if _, err := a.Revoke("carol", "unspecified"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if e, err := a.Revoke("bob", "keyCompromise"); err != nil || e.Name != "bob" {
		t.Error(err)
	}
	list := readList(t, a, dir)
	if list.Number.Int64() != 2 || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].ReasonCode != 1 ||
		list.RevokedCertificateEntries[0].SerialNumber.Cmp(bob.Certificate.SerialNumber) != 0 {
		t.Errorf("%+v", list)
	}
	if _, err := a.Revoke(a.Entries()[0].Serial, "unspecified"); !errors.Is(err, ErrRevoked) {
		t.Error(err)
	}
	if err := a.WriteCRL(time.Hour); err != nil {
		t.Error(err)
	}
	if list = readList(t, a, dir); list.Number.Int64() != 3 || !list.NextUpdate.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%+v", list)
	}
	if err := a.WriteCRL(0); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	if out := openssl(t, "crl", "-in", filepath.Join(dir, "crl.pem"), "-CAfile", filepath.Join(dir, "ca.crt"), "-noout", "-text"); out != "" && !strings.Contains(out, "Key Compromise") {
		t.Error(out)
	}
}

func readList(t *testing.T, a *CA, dir string) *x509.RevocationList {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "crl.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(a.cert); err != nil {
		t.Error(err)
	}
	return list
}

func TestNames(t *testing.T) {
	a, _ := newCA(t, Options{ECDSA: true})
	for _, name := range []string{"", "../x", "a/b", "-x", "ca", strings.Repeat("a", 101), "a b", ".hidden"} {
		if _, err := a.Client(ClientOptions{Name: name, Password: "x"}); !errors.Is(err, ErrName) {
			t.Errorf("client %q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a b", "http://x", "a_b", "x.", "*"} {
		if _, err := a.Server(ServerOptions{Names: []string{name}}); !errors.Is(err, ErrName) {
			t.Errorf("server %q: %v", name, err)
		}
	}
	if _, err := a.Server(ServerOptions{}); !errors.Is(err, ErrName) {
		t.Error(err)
	}
	if _, err := a.Client(ClientOptions{Name: "bob"}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	for _, name := range []string{"*.example.org", "2001:db8::2"} {
		if _, err := a.Server(ServerOptions{Names: []string{name}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Init(t.TempDir(), Options{Now: now, Rand: rand.Reader}); !errors.Is(err, ErrName) {
		t.Error(err)
	}
}

// TestNoneOutlivesTheAuthority, and none is born expired.
func TestNoneOutlivesTheAuthority(t *testing.T) {
	a, _ := newCA(t, Options{ECDSA: true, Valid: 24 * time.Hour})
	got, err := a.Server(ServerOptions{Names: []string{"vpn"}})
	if err != nil || !got.Certificate.NotAfter.Equal(a.cert.NotAfter) {
		t.Errorf("%v", err)
	}
	a.now = now.AddDate(1, 0, 0)
	if _, err := a.Server(ServerOptions{Names: []string{"vpn2"}}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(t.TempDir(), now, rand.Reader); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	a, dir := newCA(t, Options{ECDSA: true})
	a.Close()
	key := filepath.Join(dir, "ca.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, now, rand.Reader); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
	if err := errors.Join(os.Chmod(key, 0o600), os.WriteFile(filepath.Join(dir, "index.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, now, rand.Reader); err == nil || !strings.Contains(err.Error(), "index.json") {
		t.Error(err)
	}
}

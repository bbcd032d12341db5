package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
)

// rsaServers writes self-signed certificates with an RSA key.
func rsaServers(t *testing.T, dir string, names ...string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for n, name := range names {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(n + 1)), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		for file, b := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSharedAuthority: two tenants that take certificates of the same authority.
func TestSharedAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := ca.Init(dir, ca.Options{Name: "test", ECDSA: true, Now: time.Now(), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, names := range [][]string{{"one.example", "both.example"}, {"two.example"}} {
		if _, err := a.Server(ca.ServerOptions{Names: names}); err != nil {
			t.Fatal(err)
		}
	}
	rsaServers(t, dir, "rsa1.example", "rsa2.example")
	tenant := func(name, server, more string) string {
		return "  - {name: " + name + ", pool: 10.0.0.0/24, ca: [ca.crt], certificate: {chain: " + server + ".crt, key: " + server + ".key}" + more + "}\n"
	}
	for name, x := range map[string]struct {
		first, second  string
		refused, warns string
	}{
		"one certificate":   {tenant("a", "one.example", ""), tenant("b", "one.example", ""), "on line 3), and both are one.example: every client", ""},
		"two names":         {tenant("a", "one.example", ""), tenant("b", "two.example", ""), "", ""},
		"two identities":    {tenant("a", "one.example", ", identity: one.example"), tenant("b", "one.example", ", identity: both.example"), "", ""},
		"one identity":      {tenant("a", "one.example", ", identity: one.example"), tenant("b", "one.example", ""), "both are one.example", ""},
		"two addresses":     {tenant("a", "one.example", ", match: {local: [192.0.2.1]}"), tenant("b", "one.example", ", match: {local: [192.0.2.2]}"), "", ""},
		"EAP tells by name": {tenant("a", "one.example", ", auth: {allow: [eap-tls]}"), tenant("b", "one.example", ", auth: {allow: [eap-tls]}"), "", ""},
		"IKEv1":             {tenant("a", "rsa1.example", ""), tenant("b", "rsa2.example", ""), "", "by IKEv1, where clients do not say"},
		"one for IKEv2":     {tenant("a", "one.example", ""), tenant("b", "rsa2.example", ""), "", ""},
	} {
		text := "listen: [192.0.2.1, 192.0.2.2]\ntenants:\n" + x.first + x.second
		c, err := Parse(filepath.Join(dir, "culvert.yaml"), []byte(text))
		switch {
		case x.refused == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case x.refused != "" && (err == nil || !strings.Contains(err.Error(), x.refused) || !strings.Contains(err.Error(), "culvert.yaml:4:38: tenants a and b")):
			t.Errorf("%s: %v, want %q on line 4", name, err, x.refused)
		case err == nil && x.warns == "" && len(c.Warnings) > 0:
			t.Errorf("%s warns: %v", name, c.Warnings)
		case err == nil && x.warns != "" && (len(c.Warnings) == 0 || !strings.Contains(c.Warnings[0].Error(), x.warns)):
			t.Errorf("%s: %v, want the warning %q", name, c.Warnings, x.warns)
		}
	}
}

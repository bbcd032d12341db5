package config

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/ca"
)

// issue makes an authority with a server's certificate in a directory.
func issue(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := ca.Init(dir, ca.Options{Name: "test", ECDSA: true, Now: time.Now(), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Server(ca.ServerOptions{Names: []string{"vpn.example.com"}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCertificate(t *testing.T) {
	dir := issue(t)
	const tenant = "tenants: [{name: a, pool: 10.0.0.0/24, certificate: {chain: vpn.example.com.crt, key: vpn.example.com.key}"
	name := filepath.Join(dir, "culvert.yaml")
	c, err := Parse(name, []byte(tenant+", ca: [ca.crt], crl: [crl.pem], identity: vpn.example.com}]"))
	if err != nil {
		t.Fatal(err)
	}
	x := c.Tenants[0]
	if len(x.Certificate.Chain) != 1 || len(x.CA) != 1 || len(x.CRL) != 1 || x.Identity != "vpn.example.com" || x.Auth.Allow != (Methods{MSCHAPv2: true, EAP: true, Certificate: true}) {
		t.Errorf("%+v", x)
	}
	for _, empty := range []string{"empty.crt", "empty.key"} {
		if err := os.WriteFile(filepath.Join(dir, empty), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		"tenants: [{name: a, pool: 10.0.0.0/24, psk: [abcdefgh], certificate: {chain: empty.crt, key: vpn.example.com.key}}]": "the file is empty",
		"tenants: [{name: a, pool: 10.0.0.0/24, psk: [abcdefgh], certificate: {chain: vpn.example.com.crt, key: empty.key}}]": "empty",
		tenant + ", identity: other.example.com}]":                                                             "clients would refuse it",
		tenant + ", auth: {allow: [certificate]}}]":                                                            "lacks certificate or ca",
		tenant + ", auth: {allow: [xauth]}}]":                                                                  "xauth, which comes behind a key or a certificate",
		tenant + ", auth: {allow: [ikev2-psk]}}]":                                                              "has no psk",
		tenant + ", ca: [vpn.example.com.key]}]":                                                               "no CERTIFICATE",
		tenant + ", ca: [nowhere.crt]}]":                                                                       "nowhere.crt",
		"tenants: [{name: a, pool: 10.0.0.0/24, certificate: {chain: ca.crt, key: vpn.example.com.key}}]":      "no certificate with its key",
		"tenants: [{name: a, pool: 10.0.0.0/24, certificate: {chain: vpn.example.com.crt}}]":                   "culvert ca server",
		"tenants: [{name: a, pool: 10.0.0.0/24, certificate: {chain: vpn.example.com.crt, key: nowhere.key}}]": "does not exist",
	} {
		if _, err := Parse(name, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "vpn.example.com.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(name, []byte(tenant+"}]")); err == nil || !strings.Contains(err.Error(), "may be read by others") {
		t.Errorf("a key for everybody: %v", err)
	}
}

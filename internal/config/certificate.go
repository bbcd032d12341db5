package config

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/culvert-vpn/culvert/internal/certificate"
)

const crlBlock = "X509 CRL"

// maxPublic bounds a file of certificates or lists, in bytes.
const maxPublic = 8 << 20

// Certificate is what a tenant proves who it is with, in IKEv2.
type Certificate struct {
	// Chain has the tenant's own certificate first, and no root.
	Chain []*x509.Certificate
	// Key belongs to the first of Chain.
	Key crypto.Signer
	// ForPSK says which clients that prove themselves by the pre-shared key in IKEv2
	// are shown the certificate instead of it: "asking" those that ask for it by
	// one of its names, "all" or "none" of them.
	ForPSK string
}

// forIKEv1 reports whether clients of IKEv1 take it: they want RSA.
func (c *Certificate) forIKEv1() bool {
	_, ok := c.Key.Public().(*rsa.PublicKey)
	return ok
}

// readCertificate reads what the tenant proves who it is with.
func (t *tenantValues) readCertificate(v value) {
	t.certified = true
	var chain, key []byte
	keyAt, keyed := v, false
	forPSK := "asking"
	meant := v.fields([]field{
		{"chain", "vpn.crt", true, func(v value) { chain = v.chainFile() }},
		{"key", "vpn.key", false, func(v value) { keyAt, keyed = v, true; key, _ = v.privateFile() }},
		{"for_psk", "asking", false, func(v value) { v.choice(&forPSK, "asking", "all", "none") }},
	})
	defer clear(key)
	if !keyed && !meant["key"] {
		v.refuse(v.path+" has no key", "add key: vpn.key, the file that `culvert ca server` writes beside the certificate")
	}
	if len(chain) == 0 || len(key) == 0 {
		return
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		keyAt.refuse(v.path+" is no certificate with its key: "+err.Error(), "name two PEM files that belong together, as `culvert ca server` writes them")
		return
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		keyAt.refuse(keyAt.path+" cannot sign", "name an RSA, ECDSA or Ed25519 key")
		return
	}
	v.judgeServer(pair.Leaf, time.Now())
	t.Certificate = &Certificate{Chain: withoutRoot(pair.Certificate), Key: signer, ForPSK: forPSK}
}

// chainFile reads a file of certificates. One without any, as who writes it anew leaves it
// for a moment, is no way to say that there is none.
func (v value) chainFile() []byte {
	b, ok := v.publicFile()
	if ok && len(bytes.TrimSpace(b)) == 0 {
		v.refuse(v.path+": the file is empty", "name a PEM file, as `culvert ca server` writes it")
		return nil
	}
	return b
}

// judgeServer warns of a certificate that clients would refuse.
func (v value) judgeServer(c *x509.Certificate, now time.Time) {
	const remedy = "make one with `culvert ca server NAME`"
	switch {
	case now.After(c.NotAfter):
		v.warn(v.path+" has expired on "+c.NotAfter.UTC().Format(time.DateOnly)+": clients refuse it", "renew it, or set this host's clock right")
	case now.Before(c.NotBefore):
		v.warn(v.path+" is valid from "+c.NotBefore.UTC().Format(time.DateTime)+" UTC on, which is in the future: clients refuse it", "wait, or set this host's clock right")
	}
	if len(c.DNSNames) == 0 && len(c.IPAddresses) == 0 {
		v.warn(v.path+" has no name of a server: clients compare the one that they dial, and refuse it", remedy)
	}
	forServers := len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0
	for _, usage := range c.ExtKeyUsage {
		forServers = forServers || usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny
	}
	if !forServers {
		v.warn(v.path+" is not for servers (it lacks the extended key usage serverAuth): clients refuse it", remedy)
	}
}

// withoutRoot parses a chain and drops what is self-signed behind the leaf:
// clients have it, or do not believe it.
func withoutRoot(chain [][]byte) []*x509.Certificate {
	var out []*x509.Certificate
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err == nil && (i == 0 || !bytes.Equal(c.RawSubject, c.RawIssuer)) {
			out = append(out, c)
		}
	}
	return out
}

// readAuthorities reads who issues the certificates of clients.
func (t *tenantValues) readAuthorities(v value) {
	t.authorities, t.ca = true, v
	v.items(func(item value) { t.CA = append(t.CA, readPEM(item, "CERTIFICATE", certificate.Parse)...) })
}

// readCRLs reads the lists of certificates that were taken back.
func (t *tenantValues) readCRLs(v value) {
	files, stamps := v.r.config.Files, v.r.config.Stamps
	defer func() { v.r.config.Files, v.r.config.Stamps = files, stamps }() // they are CRLFiles
	v.items(func(item value) {
		t.CRL = append(t.CRL, readPEM(item, crlBlock, certificate.ParseList)...)
		if path, ok := item.text(); ok {
			t.CRLFiles = append(t.CRLFiles, v.r.beside(path))
		}
	})
}

// ReadCRLs reads the lists of [Tenant.CRLFiles] anew: all of them, or the first error.
func ReadCRLs(files []string) (all []*x509.RevocationList, err error) {
	for _, name := range files {
		b, err := readPublicFile(name)
		if err != nil {
			return nil, err
		}
		lists, err := parsePEM(b, crlBlock, certificate.ParseList)
		if err == nil && len(lists) == 0 {
			err = errors.New("it has no " + crlBlock)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, lists...)
	}
	return all, nil
}

// readPEM reads a file of one kind of thing.
func readPEM[T any](v value, kind string, parse func([]byte) (*T, error)) (list []*T) {
	b, ok := v.publicFile()
	if !ok {
		return nil
	}
	list, err := parsePEM(b, kind, parse)
	switch {
	case err != nil:
		v.refuse(fmt.Sprintf("%s: %v", v.path, err), "name a PEM file with "+kind+" in it")
	case len(list) == 0:
		v.refuse(v.path+": the file has no "+kind, "name a PEM file, as `culvert ca` writes it")
	}
	return list
}

// parsePEM parses the blocks of one kind; others are left out.
func parsePEM[T any](b []byte, kind string, parse func([]byte) (*T, error)) (list []*T, err error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind {
			continue
		}
		x, err := parse(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("number %d of the file cannot be used: %w", len(list)+1, err)
		}
		list = append(list, x)
	}
	return list, nil
}

// allowByDefault says what a tenant without auth.allow allows in IKEv2.
func (t *tenantValues) allowByDefault() {
	if !t.allowed {
		t.Auth.Allow.EAP, t.Auth.Allow.Certificate = t.certified, t.certified && t.authorities
	}
}

// checkCertificate refuses what asks for certificates where there are none.
func (t *tenantValues) checkCertificate() {
	m := t.Auth.Allow
	switch {
	case t.meant["psk"] || t.meant["certificate"]: // which is told
	case !t.certified && !t.hasPSK:
		t.self.refuse(t.self.path+" has no psk", "add psk: [file:office.psk], or for IKEv2 alone certificate: {chain: vpn.crt, key: vpn.key}")
	case (m.Certificate || m.EAPTLS) && !(t.certified && t.authorities):
		t.self.refuse("tenant "+t.Name+" allows certificates of clients, and lacks certificate or ca", "add certificate: {chain: vpn.crt, key: vpn.key} and ca: [ca.crt]")
	case m.PSK && !t.hasPSK:
		t.self.refuse("tenant "+t.Name+" allows ikev2-psk and has no psk", "add psk: [file:office.psk]")
	case m.XAUTH && !t.hasPSK && !m.Certificate:
		t.self.refuse("tenant "+t.Name+" allows xauth, which comes behind a key or a certificate, and has no psk", "add psk: [file:office.psk], or certificate to auth.allow")
	}
	if t.Certificate == nil || t.Identity == "" {
		return
	}
	if err := t.Certificate.Chain[0].VerifyHostname(t.Identity); err != nil {
		t.identity.refuse(fmt.Sprintf("%s: the certificate is not that of %s, and clients would refuse it: %v", t.identity.path, t.Identity, err), "write a name of the certificate, or leave identity out")
	}
}

// publicFile reads the file that the value names.
func (v value) publicFile() ([]byte, bool) {
	path, ok := v.text()
	if !ok || v.r.outside.outline {
		return nil, false
	}
	v.r.names(path)
	b, err := readPublicFile(v.r.beside(path))
	if err != nil {
		v.refuse(v.path+": "+err.Error(), "name a PEM file; relative paths start beside this file")
		return nil, false
	}
	return b, true
}

// privateFile reads the file that the value names, which nobody else may read.
func (v value) privateFile() ([]byte, bool) {
	path, ok := v.text()
	if !ok || v.r.outside.outline {
		return nil, false
	}
	s, ok := v.secretFile(path)
	return s.Bytes(), ok
}

// names notes that the configuration refers to a file, which is about to be read.
func (r *reader) names(path string) {
	name := r.beside(path)
	r.config.Files, r.config.Stamps = append(r.config.Files, name), append(r.config.Stamps, Stamp(name))
}

// Stamp changes when a file does; it is empty where there is none.
func Stamp(name string) string {
	s, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d", s.ModTime().Format(time.RFC3339Nano), s.Size())
}

// beside is a path as seen from the configuration file.
func (r *reader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.file), path)
}

// readPublicFile reads a file that holds no secrets.
func readPublicFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPublic+1))
	if err == nil && len(b) > maxPublic {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxPublic>>20)
	}
	return b, err
}

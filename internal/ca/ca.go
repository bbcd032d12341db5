package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// rsaBits is the length of RSA keys: what NIST wants until 2030 and after, and what
// every client takes.
const rsaBits = 3072

// The periods for which things are valid unless said otherwise.
const (
	DefaultAuthority = 10 * 365 * 24 * time.Hour
	// DefaultIssued stays under the 825 days beyond which Apple's devices refuse a
	// server's certificate.
	DefaultIssued = 730 * 24 * time.Hour
	DefaultCRL    = 90 * 24 * time.Hour
)

// backdate is how far a certificate begins before it is made, for clocks that are
// behind.
const backdate = time.Hour

// Options are those of an authority that is made.
type Options struct {
	Name  string        // common name of the authority
	ECDSA bool          // P-256 keys, which iOS refuses for servers set up by hand; otherwise RSA
	Valid time.Duration // zero: DefaultAuthority
	// CRLURL is written into certificates as the place of the list, http only; may
	// be empty.
	CRLURL string
	Now    time.Time
	Rand   io.Reader
}

// CA is an authority that was opened. Close ends the lock on its directory.
type CA struct {
	dir   string
	key   crypto.Signer
	cert  *x509.Certificate
	index index
	now   time.Time
	rand  io.Reader
	lock  *os.File
}

// index is what index.json holds.
type index struct {
	ECDSA     bool    `json:"ecdsa"`
	CRLURL    string  `json:"crl_url,omitempty"`
	CRLNumber int64   `json:"crl_number"`
	Issued    []Entry `json:"issued"`
}

// Entry is one certificate that was issued.
type Entry struct {
	Name     string    `json:"name"` // of its files
	Kind     string    `json:"kind"` // server or client
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
	Revoked  time.Time `json:"revoked,omitzero"`
	Reason   int       `json:"reason,omitempty"` // RFC 5280, section 5.3.1
}

// Init makes an authority in a directory, which it makes as well, with an empty
// revocation list. The caller closes the CA.
func Init(dir string, o Options) (*CA, error) {
	if o.Name == "" || len(o.Name) > 64 {
		return nil, fmt.Errorf("%w: the authority needs a name of at most 64 bytes", ErrName)
	}
	if o.Valid == 0 {
		o.Valid = DefaultAuthority
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	a := &CA{dir: dir, now: o.Now, rand: o.Rand, index: index{ECDSA: o.ECDSA, CRLURL: o.CRLURL}}
	if err := a.acquire(); err != nil {
		return nil, err
	}
	if err := a.create(o); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// create makes key, certificate and list of a new authority.
func (a *CA) create(o Options) error {
	for _, name := range []string{"ca.key", "ca.crt", "index.json"} {
		if err := a.absent(name); err != nil {
			return err
		}
	}
	key, err := a.newKey(o.ECDSA)
	if err != nil {
		return err
	}
	serial, err := a.serial()
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: o.Name},
		NotBefore: o.Now.Add(-backdate), NotAfter: o.Now.Add(o.Valid),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(a.rand, c, c, key.Public(), key)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	a.key = key
	if err := a.writeKey("ca.key", key); err != nil {
		return err
	}
	if err := a.writePEM("ca.crt", 0o644, "CERTIFICATE", der); err != nil {
		return err
	}
	return a.WriteCRL(DefaultCRL)
}

// Open reads the authority of a directory. The caller closes it.
func Open(dir string, now time.Time, rand io.Reader) (*CA, error) {
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: no authority in %s; culvert ca init makes one", ErrNotFound, dir)
		}
		return nil, fmt.Errorf("ca: %w", err)
	}
	a := &CA{dir: dir, now: now, rand: rand}
	if err := a.acquire(); err != nil {
		return nil, err
	}
	if err := a.read(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// read reads what Init wrote.
func (a *CA) read() error {
	var err error
	if a.key, err = a.readKey("ca.key"); err != nil {
		return err
	}
	if a.cert, err = a.readCert("ca.crt"); err != nil {
		return err
	}
	b, err := os.ReadFile(a.path("index.json"))
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if err := json.Unmarshal(b, &a.index); err != nil {
		return fmt.Errorf("ca: %s cannot be read: %w", a.path("index.json"), err)
	}
	return nil
}

// Entries returns what was issued, in that order.
func (a *CA) Entries() []Entry { return append([]Entry(nil), a.index.Issued...) }

// newKey makes a key of the authority's kind or of the other.
func (a *CA) newKey(ec bool) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	if ec {
		key, err = ecdsa.GenerateKey(elliptic.P256(), a.rand)
	} else {
		key, err = rsa.GenerateKey(a.rand, rsaBits)
	}
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return key, nil
}

// serial draws a serial number of 127 bits, which stays positive and short (RFC
// 5280, section 4.1.2.2).
func (a *CA) serial() (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		return nil, fmt.Errorf("ca: randomness: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

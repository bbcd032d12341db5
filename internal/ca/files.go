package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/culvert-vpn/culvert/internal/secretfile"
)

func (a *CA) path(name string) string { return filepath.Join(a.dir, name) }

// acquire takes the lock on the directory, and waits for it.
func (a *CA) acquire() error {
	f, err := os.Open(a.dir)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return errors.Join(fmt.Errorf("ca: %w", err), f.Close())
	}
	a.lock = f
	return nil
}

// Close ends the lock.
func (a *CA) Close() error {
	if a.lock == nil {
		return nil
	}
	err := a.lock.Close()
	a.lock = nil
	return err
}

// absent reports a file that would be overwritten.
func (a *CA) absent(name string) error {
	if _, err := os.Lstat(a.path(name)); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, a.path(name))
	}
	return nil
}

// write writes a file that is not there yet.
func (a *CA) write(name string, mode fs.FileMode, b []byte) error {
	f, err := os.OpenFile(a.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, a.path(name))
	}
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return nil
}

// replace writes a file whole, or not at all.
func (a *CA) replace(name string, mode fs.FileMode, b []byte) error {
	next := name + ".new"
	if err := os.Remove(a.path(next)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ca: %w", err)
	}
	if err := a.write(next, mode, b); err != nil {
		return err
	}
	if err := os.Rename(a.path(next), a.path(name)); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return nil
}

func (a *CA) writeIndex() error {
	b, err := json.MarshalIndent(a.index, "", "  ")
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return a.replace("index.json", 0o600, append(b, '\n'))
}

func (a *CA) writePEM(name string, mode fs.FileMode, kind string, der []byte) error {
	return a.write(name, mode, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (a *CA) writeKey(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	defer clear(der)
	return a.writePEM(name, 0o600, "PRIVATE KEY", der)
}

// readPEM returns the contents of the first block of a file.
func (a *CA) readPEM(name, kind string) ([]byte, error) {
	b, err := os.ReadFile(a.path(name))
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return a.firstBlock(name, kind, b)
}

// firstBlock returns the contents of the first block of PEM in b, which name holds.
func (a *CA) firstBlock(name, kind string, b []byte) ([]byte, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("ca: %s is no %s in PEM", a.path(name), kind)
	}
	return block.Bytes, nil
}

// maxKey bounds the file of a private key, in bytes.
const maxKey = 64 << 10

// owners are those besides root and ourselves who may own a key: the owner of the
// authority's directory, who could put another one there anyway.
func (a *CA) owners() []int {
	if info, err := os.Stat(a.dir); err == nil {
		if owner, ok := secretfile.Owner(info); ok {
			return []int{owner}
		}
	}
	return nil
}

func (a *CA) readKey(name string) (crypto.Signer, error) {
	file, err := secretfile.Read(a.path(name), maxKey, a.owners()...)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	defer clear(file)
	der, err := a.firstBlock(name, "PRIVATE KEY", file)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %s is no private key", a.path(name))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("ca: %s is a key that cannot sign", a.path(name))
	}
	return signer, nil
}

func (a *CA) readCert(name string) (*x509.Certificate, error) {
	der, err := a.readPEM(name, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %s: %w", a.path(name), err)
	}
	return c, nil
}

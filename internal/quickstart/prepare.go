package quickstart

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/culvert-vpn/culvert/internal/config"
)

// FileName is the configuration's name in the state directory.
const FileName = "quickstart.yaml"

// Options are what Prepare starts from.
type Options struct {
	// State is the state directory, an absolute path. It is made with mode
	// 0700 where it is missing.
	State string
	// User is the name of the first user; used when the file is made.
	User string
	// Networks are those this host is in: the pool keeps out of them.
	Networks []netip.Prefix
	// Rand is where secrets come from: crypto/rand.Reader, but in tests.
	Rand io.Reader
}

// Setup is a configuration that is ready to be served.
type Setup struct {
	// Path of the configuration file; it has mode 0600.
	Path string
	// Fresh is set when the file was made just now.
	Fresh bool
	// Config is what the file says.
	Config *config.Config
}

// Prepare returns the configuration of an earlier run, or else makes one with
// a random key and a user with a random password.
func Prepare(o Options) (*Setup, error) {
	if err := config.CheckUserName(o.User); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(o.State) {
		return nil, fmt.Errorf("quickstart: the state directory %s is not a whole path from /", o.State)
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return nil, fmt.Errorf("quickstart: %w", err)
	}
	s := &Setup{Path: filepath.Join(o.State, FileName)}
	_, err := os.Stat(s.Path)
	if errors.Is(err, os.ErrNotExist) {
		s.Fresh = true
		err = create(s.Path, o)
	}
	if err != nil {
		return nil, fmt.Errorf("quickstart: %w", err)
	}
	s.Config, err = config.Load(s.Path)
	return s, err
}

// create writes a new configuration, whole or not at all.
func create(path string, o Options) error {
	psk, err := NewPSK(o.Rand)
	if err != nil {
		return err
	}
	password, err := NewPassword(o.Rand)
	if err != nil {
		return err
	}
	text := config.Quickstart(config.QuickstartConfig{
		State: o.State, Pool: choosePool(o.Networks), PSK: psk, User: o.User, Password: password,
	})
	defer clear(text)
	f, err := os.CreateTemp(filepath.Dir(path), FileName+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// pools are the ranges to give clients addresses of, in the order of
// preference: ones that home routers and clouds do not use by themselves.
func pools() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.123.0.0/24"),
		netip.MustParsePrefix("172.27.66.0/24"),
		netip.MustParsePrefix("192.168.217.0/24"),
		netip.MustParsePrefix("100.99.98.0/24"),
	}
}

// choosePool returns the first range that meets none of the networks.
func choosePool(networks []netip.Prefix) netip.Prefix {
	all := pools()
	for _, p := range all {
		free := true
		for _, n := range networks {
			free = free && !p.Overlaps(n)
		}
		if free {
			return p
		}
	}
	return all[0]
}

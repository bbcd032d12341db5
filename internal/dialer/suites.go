package dialer

import (
	"fmt"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// Suites are what a call proposes, the best first. An empty list is the
// persona's own. Those whose names end in 2 are of calls by IKEv2.
type Suites struct {
	IKE  []suite.IKESuite
	ESP  []suite.ESPSuite
	IKE2 []suite.IKE2Suite
	ESP2 []suite.ESP2
}

// ParseSuites reads the names of suites, such as aes256-sha256-modp2048 for IKE
// and aes256gcm16 or aes256-sha256 for ESP.
func ParseSuites(ike, esp []string) (s Suites, err error) {
	if s.IKE, err = parseEach(ike, suite.ParseIKESuite); err == nil {
		s.ESP, err = parseEach(esp, parseESP1)
	}
	if err != nil {
		return Suites{}, fmt.Errorf("dialer: %w", err)
	}
	return s, nil
}

// parseESP1 reads a suite of IKEv1, which has no number for ChaCha20 (RFC 7634,
// section 5, has it for IKEv2 only).
func parseESP1(name string) (suite.ESPSuite, error) {
	s, err := suite.ParseESPSuite(name)
	if err == nil && s.Encryption == suite.EncChaCha20 {
		return suite.ESPSuite{}, fmt.Errorf("%w: %v is for IKEv2 only", suite.ErrUnsupported, s)
	}
	return s, err
}

// ParseSuites2 reads the names of suites of IKEv2, such as aes256-sha256-modp2048,
// aes256gcm16-prfsha256-curve25519-mlkem768 or chacha20poly1305-prfsha256-ecp256
// for IKE, and those of ParseSuites and chacha20poly1305 for ESP.
func ParseSuites2(ike, esp []string) (s Suites, err error) {
	if s.IKE2, err = parseEach(ike, suite.ParseIKE2Suite); err == nil {
		s.ESP2, err = parseEach(esp, suite.ParseESP2)
	}
	if err != nil {
		return Suites{}, fmt.Errorf("dialer: %w", err)
	}
	return s, nil
}

func parseEach[T any](names []string, parse func(string) (T, error)) ([]T, error) {
	var list []T
	for _, name := range names {
		s, err := parse(name)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

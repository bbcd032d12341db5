package gateway

import (
	"fmt"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// Suites are what a call proposes, the best first. An empty list is the
// persona's own.
type Suites struct {
	IKE []suite.IKESuite
	ESP []suite.ESPSuite
}

// ParseSuites reads the names of suites, such as aes256-sha256-modp2048 for IKE
// and aes256gcm16 or aes256-sha256 for ESP.
func ParseSuites(ike, esp []string) (s Suites, err error) {
	if s.IKE, err = parseEach(ike, suite.ParseIKESuite); err == nil {
		s.ESP, err = parseEach(esp, suite.ParseESPSuite)
	}
	if err != nil {
		return Suites{}, fmt.Errorf("gateway: %w", err)
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

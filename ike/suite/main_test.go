package suite_test

import (
	"testing"

	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/suite"
)

// TestMain gives the tests inside of the package the clients, which import it.
func TestMain(m *testing.M) {
	suite.PersonaNamed = func(name string) (suite.Persona, error) {
		p, err := persona.V1(name)
		return p.Persona, err
	}
	m.Run()
}

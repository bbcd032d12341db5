package ppp_test

import (
	"testing"

	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/ppp/persona"
)

// TestMain gives the tests inside of the package the clients, which import it.
func TestMain(m *testing.M) {
	ppp.Personas, ppp.PersonaNames = persona.Named, persona.Names
	m.Run()
}

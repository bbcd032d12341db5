package l2tp_test

import (
	"testing"

	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/l2tp/persona"
)

// TestMain gives the tests inside of the package the clients, which import it.
func TestMain(m *testing.M) {
	l2tp.Personas, l2tp.PersonaNames = persona.Named, persona.Names
	m.Run()
}

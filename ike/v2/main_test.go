package v2_test

import (
	"testing"

	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/v2"
)

// TestMain gives the tests inside of the package the clients, which import it.
func TestMain(m *testing.M) {
	v2.PersonaNamed, v2.Personas = persona.V2, persona.NamesV2
	m.Run()
}

package gateway

import (
	"testing"
	"unsafe"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/ppp"
)

// What there is one of for each session is no larger than the runtime's size class that
// it is in: one field more may cost an eighth.
func TestASessionTakesLittleMemory(t *testing.T) {
	for name, x := range map[string]struct{ has, most uintptr }{
		"peer":                  {unsafe.Sizeof(peer{}), 160},
		"session":               {unsafe.Sizeof(session{}), 240},
		"peer of the engine":    {unsafe.Sizeof(engine.Peer{}), 288},
		"session of the engine": {unsafe.Sizeof(engine.Session{}), 192},
		"child SA":              {unsafe.Sizeof(engine.Child{}), 416},
		"peer of the plane":     {unsafe.Sizeof(dataplane.Peer{}), 64},
		"session of it":         {unsafe.Sizeof(dataplane.Session{}), 320},
		"SA of it":              {unsafe.Sizeof(dataplane.SA{}), 384},
		"link":                  {unsafe.Sizeof(ppp.Link{}), 768},
	} {
		if x.has > x.most {
			t.Errorf("%s: %d bytes, and there is room for %d", name, x.has, x.most)
		}
	}
}

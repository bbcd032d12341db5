package persona

import (
	"errors"
	"testing"
)

// Whoever is not known is told who is.
func TestUnknown(t *testing.T) {
	if _, err := V1("vista"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := V2("windows10"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// Who has a persona may change it: the next one who asks gets it as it is.
func TestPersonasAreOnesOwn(t *testing.T) {
	for _, name := range NamesV1() {
		first, _ := V1(name)
		first.IKE[0].Auth, first.ESP[0].Life.Seconds, first.Asks[0] = 99, 99, 99
		if again, err := V1(name); err != nil || again.IKE[0].Auth == 99 || again.ESP[0].Life.Seconds == 99 || again.Asks[0] == 99 {
			t.Errorf("%s: %v, %+v", name, err, again)
		}
	}
	for _, name := range NamesV2() {
		first, _ := V2(name)
		first.IKE[0].Groups[0], first.Init[0], first.Auth[0], first.Wanted[0] = 99, 99, 99, 99
		if again, err := V2(name); err != nil || again.IKE[0].Groups[0] == 99 || again.Init[0] == 99 || again.Auth[0] == 99 || again.Wanted[0] == 99 {
			t.Errorf("%s: %v, %+v", name, err, again)
		}
	}
}

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretNeverShowsItself(t *testing.T) {
	s := NewSecret([]byte("hunter2"))
	holder := struct {
		PSKs []Secret
		One  *Secret
	}{[]Secret{s}, &s}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		fmt.Fprintf(&shown, verb+verb, s, holder)
	}
	fmt.Fprint(&shown, s, s.String(), s.GoString())
	j, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(j)
	shown.Write(y)
	for _, form := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117"} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("shows as %s", form)
		}
	}
}

func TestResolveSecret(t *testing.T) {
	stage(t)
	for text, want := range map[string]string{
		"itself": "itself", "file:good.psk": "from-a-file-with-a-newline", "env:CULVERT_TEST_PSK": "from-the-environment",
		"": "", "file:open.psk": "", "file:empty.psk": "", "env:CULVERT_TEST_NOWHERE": "",
	} {
		s, err := ResolveSecret(text)
		if string(s.Bytes()) != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", text, s.Bytes(), err)
		}
		if err != nil && strings.Contains(err.Error(), "to-be-shown") {
			t.Errorf("%q: a secret shows: %v", text, err)
		}
	}
}

func TestSecret(t *testing.T) {
	given := []byte("hunter2")
	s := NewSecret(given)
	same := s
	clear(given)
	if string(s.Bytes()) != "hunter2" || s.Len() != 7 {
		t.Errorf("the secret is not a copy")
	}
	if !s.Equal(NewSecret([]byte("hunter2"))) || s.Equal(NewSecret([]byte("hunter3"))) || s.Equal(Secret{}) {
		t.Errorf("equality is wrong")
	}
	lent := s.Bytes()
	s.Zero()
	if same.Len() != 0 || !bytes.Equal(lent, make([]byte, 7)) {
		t.Errorf("the secret outlives Zero")
	}
	Secret{}.Zero()
}

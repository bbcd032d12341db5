package dialer

import (
	"strings"
	"testing"
)

func TestSuitesThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "aes256", "aes256-sha256", "aes256-sha256-modp1"} {
		if _, err := ParseSuites([]string{bad}, nil); err == nil {
			t.Errorf("IKE %q is a suite", bad)
		}
	}
	if _, err := ParseSuites(nil, []string{"rot13"}); err == nil {
		t.Error("ESP rot13 is a suite")
	}
	if _, err := ParseSuites(nil, []string{"chacha20poly1305"}); err == nil || !strings.Contains(err.Error(), "IKEv2 only") {
		t.Errorf("ChaCha20 is a suite of IKEv1: %v", err)
	}
	for _, bad := range []string{"", "aes256gcm16", "aes256gcm16-ecp256", "aes256-sha256-modp2048-rot13", "aes256-sha256-mlkem768"} {
		if _, err := ParseSuites2([]string{bad}, nil); err == nil {
			t.Errorf("IKE %q is a suite of IKEv2", bad)
		}
	}
	for _, bad := range []string{"rot13", "aes256", "aes256gcm8"} {
		if _, err := ParseSuites2(nil, []string{bad}); err == nil {
			t.Errorf("ESP %q is a suite of IKEv2", bad)
		}
	}
}

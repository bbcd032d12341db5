package aeskey

import (
	"encoding/hex"
	"testing"

	"github.com/culvert-vpn/culvert/esp/internal/x86"
)

// The last round keys of FIPS 197, appendix A, of its three keys. Each word of
// them depends on all words before.
func TestExpand(t *testing.T) {
	if !x86.Detect().AES {
		t.Log("this processor has no AES-NI")
		return
	}
	for key, want := range map[string]string{
		"2b7e151628aed2a6abf7158809cf4f3c":                                 "d014f9a8c9ee2589e13f0cc8b6630ca6",
		"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b":                 "e98ba06f448c773c8ecc720401002202",
		"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": "fe4890d1e6188d0b046df344706c631e",
	} {
		k, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		var s Schedule
		rounds := s.Expand(k)
		if got := hex.EncodeToString(s[rounds][:]); rounds != len(k)/4+6 || got != want {
			t.Errorf("%d bits: round key %d is %s", len(k)*8, rounds, got)
		}
		for _, rest := range s[rounds+1:] {
			if rest != [BlockSize]byte{} {
				t.Errorf("%d bits: something is behind the last round key", len(k)*8)
			}
		}
	}
}

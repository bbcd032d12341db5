package esp

import (
	"errors"
	"testing"
)

func TestByIANA(t *testing.T) {
	for _, row := range []struct {
		encryption uint8
		bits       int
		integrity  uint16
		name       string
		enc, mac   int // key lengths
		header     int
		icv        int
	}{
		{3, 0, 2, "3des-sha1", 24, 20, 16, 12},
		{3, 192, 5, "3des-sha256", 24, 32, 16, 16},
		{12, 128, 2, "aes128-sha1", 16, 20, 24, 12},
		{12, 192, 6, "aes192-sha384", 24, 48, 24, 24},
		{12, 256, 5, "aes256-sha256", 32, 32, 24, 16},
		{12, 256, 7, "aes256-sha512", 32, 64, 24, 32},
		{19, 128, 0, "aes128gcm12", 20, 0, 16, 12},
		{20, 128, 0, "aes128gcm16", 20, 0, 16, 16},
		{20, 192, 0, "aes192gcm16", 28, 0, 16, 16},
		{20, 256, 0, "aes256gcm16", 36, 0, 16, 16},
		{28, 0, 0, "chacha20poly1305", 36, 0, 16, 16},
	} {
		tr, err := ByIANA(row.encryption, row.bits, row.integrity)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if tr.String() != row.name || tr.EncryptionKeyLen() != row.enc || tr.IntegrityKeyLen() != row.mac ||
			tr.HeaderLen() != row.header || tr.ICVLen() != row.icv {
			t.Errorf("%s: %v, keys %d and %d, header %d, ICV %d", row.name, tr,
				tr.EncryptionKeyLen(), tr.IntegrityKeyLen(), tr.HeaderLen(), tr.ICVLen())
		}
	}
}

func TestByIANAUnknown(t *testing.T) {
	for _, row := range []struct {
		encryption uint8
		bits       int
		integrity  uint16
	}{
		{0, 0, 0}, {2, 0, 2}, {11, 0, 2}, {12, 0, 2}, {12, 129, 2}, {12, 256, 0}, {12, 256, 1},
		{3, 128, 2}, {18, 128, 0}, {20, 128, 2}, {20, 0, 0}, {28, 256, 0}, {28, 0, 2}, {255, 256, 255},
	} {
		if tr, err := ByIANA(row.encryption, row.bits, row.integrity); !errors.Is(err, ErrTransform) {
			t.Errorf("%v: %v, %v", row, tr, err)
		}
	}
	if (Transform{}).String() != "none" {
		t.Error("the zero transform has a name")
	}
}

func TestTransformNamesDiffer(t *testing.T) {
	seen := map[string]Transform{}
	for _, tr := range Transforms() {
		if other, ok := seen[tr.String()]; ok {
			t.Errorf("%v and %v share a name", tr, other)
		}
		seen[tr.String()] = tr
	}
}

// MaxPayload is the inverse of SealedLen: the longest payload that fits.
func TestMaxPayload(t *testing.T) {
	for _, tr := range Transforms() {
		for size := range 1600 {
			n := tr.MaxPayload(size)
			if n >= 0 && tr.SealedLen(n) > size {
				t.Fatalf("%v: %d bytes do not fit into %d", tr, n, size)
			}
			if n < -1 || tr.SealedLen(n+1) <= size {
				t.Fatalf("%v: %d bytes fit into %d too", tr, n+1, size)
			}
		}
	}
}

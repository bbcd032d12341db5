package suite

import (
	"bytes"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// derivation is a case of NIST's validation suite for the key derivation of IKEv2
// (CAVP, SP 800-135: ikev2.rsp).
type derivation struct {
	suite                  string // whose PRF it is
	ni, nr, spiI, spiR     string
	gir, girNew            string
	skeyseed, dkm, rekeyed string // SKEYSEED, what prf+ makes of it, SKEYSEED of the SA that renews
	child                  string // KEYMAT of a child SA without a key exchange; empty: not known here
}

func derivations() []derivation {
	return []derivation{
		{
			suite: "aes128-sha1-modp2048", ni: "32b50d5f4a3763f3", nr: "9206a04b26564cb1", spiI: "34c9e7c188868785", spiR: "3ff77d760d2b2199",
			gir:      "4b2c1f971981a8ad8d0abeafabf38cf75fc8349c148142465ed9c8b516b8be52",
			girNew:   "863f3c9d06efd39d2b907b97f8699e5dd5251ef64a2a176f36ee40c87d4f9330",
			skeyseed: "a9a7b222b59f8f48645f28a1db5b5f5d7479cba7",
			dkm: `a14293677cc80ff8f9cc0eee30d895da9d8f405666e30ef0dfcb63c634a46002a2a63080e514a062768b76606f9fa5e992204fc5
				a670bde3f10d6b027113936a5c55b648a194ae587b0088d52204b702c979fa280870d2ed41efa9c549fd11198af1670b143d384bd
				275c5f594cf266b05ebadca855e4249520a441a81157435a7a56cc4`,
			rekeyed: "63e81194946ebd05df7df5ebf5d8750056bf1f1d",
			child: `8059e3ee8810e6c3a91bc8bcd2a7a41151b8d0e6ae239c7b38093ad85ef4c5811a8e7b5d1cdabd9560b2d5e092d1f24e2d4b85ec
				cdf0ad0dc9abd94b51ee71814ca6dbc8bb51b6309f5b9545c7eb35cf5580b1e521a8fe20754a2d883ba0c2cf285f524aea6545b3
				3106bc03e614296d319d41d4b50b3f510b1c0a22f3e664994d234cb4`,
		},
		{
			suite: "aes256gcm16-prfsha256-ecp256", ni: "3f302be1abcb28e1", nr: "8c332ee006064c9b", spiI: "40dac39e1e1a8640", spiR: "8619a1cf9a6e4c07",
			gir:      "0f4d257d7a58fc4545c7d7a88119eee5d5c9690c5b4c989171d3abbfd99d1d29",
			girNew:   "25f3b12d6f282739256e39bf54eda53b60ffcf379bb7bcc90c27b4c4c578616c",
			skeyseed: "5f00d1bd2c58ec224b1e6b71fa0f19a1faa7a193952c444411b47c1a9d8ba6fe",
			dkm: `0b137d669b0947d7d026d593f0305ad401ff0c471357d695778a9c7f4b4869ece98aca531188d16041b3bb936d2dbb3b4993a6e7
				68a809160de45d0283f273a6cdf6854379e31be72b8d3d1fa990cf9c5b015ca9f918a7df6253c958114a09d4e1c19bdcd4db14b2
				9d98db1a74ad405c588662c14a04d0d36aa4ab55e90f8986d12d4aad`,
			rekeyed: "2d63f6debc92048b4fef3889c4c99ca67d6496e0fac14a2bca9a2d6566ff2398",
		},
		{
			suite: "aes256gcm16-prfsha384-ecp384", ni: "fd1b572a8e735591", nr: "6013b0ef88dacd3d", spiI: "2116ad07ce61f749", spiR: "24880e55f11a65b7",
			gir:      "d3288cd87565101e88fe3bad918f31939d8dd26ff1071f8b2d7f447524e58d7c",
			girNew:   "3358f620539473aee8d07e779764c4c6a9aabddc79a28e136b3bac021dbde44a",
			skeyseed: "69fe7a1ac94adaeb711295f5fe004b1a8d6a0b65d05692758ce8ad2f7a45f59d7d0b596f51f7dfcf3330061888f6a94f",
			dkm: `4f904c2025c90c817ea5ff9b662a6fdb445a73b57cdf09eacd379b95e1f03cacb04cd6deeda4f952191dd9bc1f7a9502471a648d
				74dc06d38112de48a42501f6b1a3ad55c2099cd9a648e5f17e5bf3e34bf9b5953decb768a34f875fe2b78dca0c2fcca81ec1a412
				006dfaed38fa06882e61f4c148105fb8e231fdb33c4d484c001721d4`,
			rekeyed: "e0548c1682e13bce454026b3b1bdf42985b24e4e7408095a7c529de38c3d1fcb04c9fe6868042a34c9614c6c99e3fcea",
		},
	}
}

// TestNISTDerivations: SKEYSEED, prf+, the keys of an SA that renews, and KEYMAT.
func TestNISTDerivations(t *testing.T) {
	for _, x := range derivations() {
		s, err := ParseIKE2Suite(x.suite)
		if err != nil {
			t.Fatal(err)
		}
		n := Nonces{Ni: unhex(t, x.ni), Nr: unhex(t, x.nr), SPIi: wire.Cookie(unhex(t, x.spiI)), SPIr: wire.Cookie(unhex(t, x.spiR))}
		join := func(k *Keys2) []byte { return bytes.Join([][]byte{k.D, k.Ai, k.Ar, k.Ei, k.Er, k.Pi, k.Pr}, nil) }
		dkm, seed := unhex(t, x.dkm), unhex(t, x.ni+x.nr+x.spiI+x.spiR)
		if got := s.PRF.PRFPlus(unhex(t, x.skeyseed), seed, len(dkm)); !bytes.Equal(got, dkm) {
			t.Errorf("%s: prf+ %x", x.suite, got)
		}
		keys := s.Keys(unhex(t, x.gir), n)
		if got := join(keys); !bytes.Equal(got[:len(dkm)], dkm) {
			t.Errorf("%s: keys %x", x.suite, got)
		}
		next := join(s.RekeyKeys(s.PRF, keys.D, [][]byte{unhex(t, x.girNew)}, n))
		if want := s.PRF.PRFPlus(unhex(t, x.rekeyed), seed, len(next)); !bytes.Equal(next, want) {
			t.Errorf("%s: keys after a renewal %x", x.suite, next)
		}
		if x.child == "" {
			continue
		}
		e := ESPSuite{EncAESCBC, 256, IntegSHA256}
		i, r := e.ChildKeys(s.PRF, keys.D, nil, n.Ni, n.Nr)
		got := bytes.Join([][]byte{i.Encryption, i.Integrity, r.Encryption, r.Integrity}, nil)
		if !bytes.Equal(got, unhex(t, x.child)[:len(got)]) {
			t.Errorf("%s: KEYMAT %x", x.suite, got)
		}
	}
}

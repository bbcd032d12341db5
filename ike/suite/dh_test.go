package suite

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var allGroups = []Group{
	GroupMODP1024, GroupMODP1536, GroupMODP2048, GroupMODP3072, GroupMODP4096,
	GroupECP256, GroupECP384, GroupECP521, GroupX25519,
}

func modpPrimes() map[Group]string {
	return map[Group]string{
		GroupMODP1024: prime1024, GroupMODP1536: prime1536, GroupMODP2048: prime2048,
		GroupMODP3072: prime3072, GroupMODP4096: prime4096,
	}
}

func wantPrime(t testing.TB, g Group) *big.Int {
	t.Helper()
	p, ok := new(big.Int).SetString(modpPrimes()[g], 16)
	if !ok {
		t.Fatalf("%v: prime is not hex", g)
	}
	return p
}

// pi returns [2^n pi], by Machin's formula.
func pi(n uint) *big.Int {
	const guard = 64
	arctan := func(x int64) *big.Int {
		term := new(big.Int).Lsh(big.NewInt(1), n+guard)
		term.Quo(term, big.NewInt(x))
		sum := new(big.Int).Set(term)
		for k := int64(3); term.Sign() != 0; k += 2 {
			term.Quo(term, big.NewInt(x*x))
			part := new(big.Int).Quo(term, big.NewInt(k))
			if k%4 == 3 {
				part.Neg(part)
			}
			sum.Add(sum, part)
		}
		return sum
	}
	v := new(big.Int).Mul(big.NewInt(4), arctan(5))
	v.Sub(v, arctan(239))
	v.Mul(v, big.NewInt(4))
	return v.Rsh(v, guard)
}

// RFC 2409, section 6.2, and RFC 3526 give the primes by this formula.
func TestPrimesFollowTheirFormula(t *testing.T) {
	constants := map[Group]int64{
		GroupMODP1024: 129093, GroupMODP1536: 741804, GroupMODP2048: 124476,
		GroupMODP3072: 1690314, GroupMODP4096: 240904,
	}
	power := func(n int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(n)) }
	for g, c := range constants {
		n := 8 * g.PublicLen()
		want := pi(uint(n - 130))
		want.Add(want, big.NewInt(c))
		want.Lsh(want, 64)
		want.Add(want, power(n))
		want.Sub(want, power(n-64))
		want.Sub(want, big.NewInt(1))
		if wantPrime(t, g).Cmp(want) != 0 {
			t.Errorf("%v: prime is not the RFC's", g)
		}
	}
}

// Short exponents and the few checks of public values rest on this.
func TestPrimesAreSafe(t *testing.T) {
	for g := range modpPrimes() {
		p := wantPrime(t, g)
		q := new(big.Int).Rsh(p, 1)
		if !p.ProbablyPrime(1) || !q.ProbablyPrime(1) {
			t.Errorf("%v: not a safe prime", g)
		}
		if new(big.Int).Exp(big.NewInt(2), q, p).Cmp(big.NewInt(1)) != 0 {
			t.Errorf("%v: 2 does not generate the subgroup of order (p-1)/2", g)
		}
	}
}

func TestMODPAgreesWithMathBig(t *testing.T) {
	for g := range modpPrimes() {
		p := wantPrime(t, g)
		key, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		x := new(big.Int).SetBytes(key.exchange.(*modpKey).x)
		want := new(big.Int).Exp(big.NewInt(2), x, p).FillBytes(make([]byte, g.PublicLen()))
		if !bytes.Equal(key.Public(), want) {
			t.Errorf("%v: public value differs", g)
		}
		peer, _ := rand.Int(rand.Reader, p)
		got, err := key.Shared(peer.FillBytes(make([]byte, g.PublicLen())))
		want = peer.Exp(peer, x, p).FillBytes(make([]byte, g.PublicLen()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: shared secret differs (%v)", g, err)
		}
	}
}

// RFC 3526, section 8, and RFC 7919, section 5.2: at least these many bits.
func TestExponentsAreLongEnough(t *testing.T) {
	least := map[Group]int{
		GroupMODP1024: 160, GroupMODP1536: 180, GroupMODP2048: 225, GroupMODP3072: 275, GroupMODP4096: 325,
	}
	for g, bits := range least {
		key, err := g.GenerateKey(zeroReader{})
		if err != nil {
			t.Fatal(err)
		}
		x := key.exchange.(*modpKey).x
		if n := new(big.Int).SetBytes(x).BitLen(); n < bits {
			t.Errorf("%v: exponent of %d bits, want %d", g, n, bits)
		}
	}
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestBothSidesAgree(t *testing.T) {
	for _, g := range allGroups {
		a, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		ab, err1 := a.Shared(b.Public())
		ba, err2 := b.Shared(a.Public())
		if err1 != nil || err2 != nil || !bytes.Equal(ab, ba) {
			t.Errorf("%v: secrets differ (%v, %v)", g, err1, err2)
		}
		if len(a.Public()) != g.PublicLen() || !g.Supported() {
			t.Errorf("%v: public value of %d bytes, want %d", g, len(a.Public()), g.PublicLen())
		}
	}
}

// RFC 2409, section 5: "the value g^xy is pre-pended with zeros if necessary".
func TestSharedSecretKeepsLeadingZeroes(t *testing.T) {
	g := GroupMODP1024
	key, err := g.GenerateKey(zeroReader{})
	if err != nil {
		t.Fatal(err)
	}
	for y := int64(3); y < 5000; y++ {
		secret, err := key.Shared(big.NewInt(y).FillBytes(make([]byte, g.PublicLen())))
		if err != nil || len(secret) != g.PublicLen() {
			t.Fatalf("secret of %d bytes, %v", len(secret), err)
		}
		if secret[0] == 0 {
			return
		}
	}
	t.Fatal("no secret begins with a zero")
}

func TestSamePinnedRandomnessSameKey(t *testing.T) {
	pinned := func() io.Reader { return bytes.NewReader(bytes.Repeat([]byte{0x2a, 7}, 64)) }
	for _, g := range allGroups {
		a, err1 := g.GenerateKey(pinned())
		b, err2 := g.GenerateKey(pinned())
		if err1 != nil || err2 != nil || !bytes.Equal(a.Public(), b.Public()) {
			t.Errorf("%v: keys differ (%v, %v)", g, err1, err2)
		}
	}
}

func TestMODPRefusesValuesOutOfRange(t *testing.T) {
	for g := range modpPrimes() {
		key, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p, one, size := wantPrime(t, g), big.NewInt(1), g.PublicLen()
		bad := map[string][]byte{
			"0":     make([]byte, size),
			"1":     one.FillBytes(make([]byte, size)),
			"p-1":   new(big.Int).Sub(p, one).Bytes(),
			"p":     p.Bytes(),
			"p+1":   new(big.Int).Add(p, one).Bytes(),
			"2^n-1": bytes.Repeat([]byte{0xff}, size),
			"short": bytes.Repeat([]byte{2}, size-1),
			"long":  append([]byte{0}, bytes.Repeat([]byte{2}, size)...),
			"empty": {},
		}
		for name, y := range bad {
			if _, err := key.Shared(y); !errors.Is(err, ErrPublicValue) {
				t.Errorf("%v: public value %s: error %v", g, name, err)
			}
		}
		for _, y := range []*big.Int{big.NewInt(2), new(big.Int).Sub(p, big.NewInt(2))} {
			if _, err := key.Shared(y.FillBytes(make([]byte, size))); err != nil {
				t.Errorf("%v: a value in range is refused: %v", g, err)
			}
		}
	}
}

func TestCurvesRefuseBadPoints(t *testing.T) {
	for _, g := range []Group{GroupECP256, GroupECP384, GroupECP521, GroupX25519} {
		key, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		off := key.Public()
		off[len(off)-1] ^= 1
		bad := map[string][]byte{
			"short":    off[1:],
			"long":     append([]byte{4}, key.Public()...),
			"empty":    {},
			"infinity": make([]byte, g.PublicLen()), // on curve 25519 a point of small order
		}
		if g != GroupX25519 { // where every string of bytes is on the curve or its twist
			bad["off the curve"] = off
			bad["not reduced"] = bytes.Repeat([]byte{0xff}, g.PublicLen())
		}
		for name, y := range bad {
			if _, err := key.Shared(y); !errors.Is(err, ErrPublicValue) {
				t.Errorf("%v: %s point: error %v", g, name, err)
			}
		}
	}
}

// RFC 5903, section 8: the shared secret is the X coordinate alone. RFC 7748,
// section 6.1.
func TestCurveVectors(t *testing.T) {
	tests := []struct {
		group                Group
		secret, public, peer string
		shared               string
	}{
		{GroupECP256,
			"C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
			"DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180" +
				"5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
			"D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63" +
				"56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
			"D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"},
		{GroupECP384,
			"099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
			"667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA" +
				"9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
			"E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571" +
				"DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
			"11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"},
		{GroupECP521,
			"0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA" +
				"85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
			"0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3" +
				"BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E" +
				"017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10AD8A7" +
				"88015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582",
			"00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A219B97" +
				"C356436ADC6E95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F" +
				"015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87220B" +
				"6536C5C408A1D2AEBB8E86D678AE49CB57091F4732296579AB44FCD17F0FC56A",
			"01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D142" +
				"7E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA"},
		{GroupX25519,
			"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
	}
	for _, tt := range tests {
		key, err := tt.group.GenerateKey(bytes.NewReader(unhex(t, tt.secret)))
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Public(); !bytes.Equal(got, unhex(t, tt.public)) {
			t.Errorf("%v: public value %X", tt.group, got)
		}
		got, err := key.Shared(unhex(t, tt.peer))
		if err != nil || !bytes.Equal(got, unhex(t, tt.shared)) {
			t.Errorf("%v: shared secret %X, %v", tt.group, got, err)
		}
	}
}

func TestCurveDrawsAgain(t *testing.T) {
	scalar := bytes.Repeat([]byte{7}, 32)
	// Zero and all ones are not scalars of the curve.
	pinned := append(append(make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)...), scalar...)
	a, err := GroupECP256.GenerateKey(bytes.NewReader(pinned))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := GroupECP256.GenerateKey(bytes.NewReader(scalar))
	if !bytes.Equal(a.Public(), b.Public()) {
		t.Error("the third draw is not the key")
	}
	if _, err := GroupECP256.GenerateKey(zeroReader{}); err == nil {
		t.Error("a source of zeroes gives a key")
	}
}

func TestNoRandomnessNoKey(t *testing.T) {
	for _, g := range allGroups {
		if _, err := g.GenerateKey(bytes.NewReader([]byte{1, 2, 3})); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v: error %v", g, err)
		}
	}
}

func TestZeroedKeyIsOfNoUse(t *testing.T) {
	for _, g := range allGroups {
		key, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		peer := key.Public()
		if k, ok := key.exchange.(*modpKey); ok {
			defer func(x []byte) {
				if !bytes.Equal(x, make([]byte, len(x))) {
					t.Errorf("%v: exponent is still in memory", g)
				}
			}(k.x)
		}
		key.Zero()
		if _, err := key.Shared(peer); !errors.Is(err, ErrZeroed) {
			t.Errorf("%v: error %v", g, err)
		}
	}
}

func TestUnknownGroup(t *testing.T) {
	for _, g := range []Group{0, 1, 22, 24} {
		if _, err := g.GenerateKey(rand.Reader); !errors.Is(err, ErrUnsupported) || g.Supported() {
			t.Errorf("group %d: %v", g, err)
		}
	}
}

func BenchmarkGenerateKey(b *testing.B) {
	for _, g := range allGroups {
		b.Run(g.String(), func(b *testing.B) {
			for b.Loop() {
				g.GenerateKey(rand.Reader)
			}
		})
	}
}

func BenchmarkShared(b *testing.B) {
	for _, g := range allGroups {
		key, _ := g.GenerateKey(rand.Reader)
		peer, _ := g.GenerateKey(rand.Reader)
		public := peer.Public()
		b.Run(g.String(), func(b *testing.B) {
			for b.Loop() {
				key.Shared(public)
			}
		})
	}
}

// TestTake: a key that was taken works, and what is left of it does not, so that
// zeroing that disturbs nobody.
func TestTake(t *testing.T) {
	for _, g := range []Group{GroupMODP2048, GroupECP256, GroupX25519} {
		mine, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		other, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := mine.Shared(other.Public())
		taken := mine.Take()
		mine.Zero()
		got, err := taken.Shared(other.Public())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: the key that was taken: %v", g, err)
		}
		if _, err := mine.Shared(other.Public()); !errors.Is(err, ErrZeroed) {
			t.Errorf("%v: the key it was taken from: %v", g, err)
		}
	}
}

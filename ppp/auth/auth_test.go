package auth

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 2759 section 9.2.
const (
	exampleUser     = "User"
	examplePassword = "clientPass"
	exampleSuccess  = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
)

func example(t *testing.T) (hash, challenge, peer [16]byte, response [24]byte) {
	copy(hash[:], unhex(t, "44ebba8d5312b8d611474411f56989ae"))
	copy(challenge[:], unhex(t, "5b5d7c7d7b3f2f3e3c2c602132262628"))
	copy(peer[:], unhex(t, "21402324255e262a28295f2b3a337c7e"))
	copy(response[:], unhex(t, "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"))
	return hash, challenge, peer, response
}

func TestExampleOfRFC2759(t *testing.T) {
	hash, challenge, peer, response := example(t)
	if got := NTHash(examplePassword); got != hash {
		t.Errorf("NT hash %x", got)
	}
	if got := ChallengeHash(peer, challenge, exampleUser); hex.EncodeToString(got[:]) != "d02e4386bce91226" {
		t.Errorf("challenge hash %x", got)
	}
	if got := NTResponse(hash, challenge, peer, exampleUser); got != response {
		t.Errorf("response %x", got)
	}
	success, ok := Verify(hash, challenge, peer, response, exampleUser)
	if !ok || success != exampleSuccess {
		t.Errorf("verify: %v %q", ok, success)
	}
}

// The 128-bit keys of RFC 3079 section 3.5.3, from the same login.
func TestExampleOfRFC3079(t *testing.T) {
	hash, _, _, response := example(t)
	master := MasterKey(hash, response)
	if hex.EncodeToString(master[:]) != "fdece3717a8c838cb388e527ae3cdd31" {
		t.Errorf("master key %x", master)
	}
	key := StartKey(master, true, true)
	if hex.EncodeToString(key[:]) != "8b7cdc149b993a1ba118cb153f56dccb" {
		t.Errorf("start key %x", key)
	}
	if StartKey(master, true, true) != StartKey(master, false, false) || StartKey(master, true, false) != StartKey(master, false, true) {
		t.Error("what one side sends with is not what the other receives with")
	}
}

func TestVerifyRefuses(t *testing.T) {
	hash, challenge, peer, response := example(t)
	for i := range response {
		bad := response
		bad[i] ^= 1
		if _, ok := Verify(hash, challenge, peer, bad, exampleUser); ok {
			t.Fatalf("octet %d does not matter", i)
		}
	}
	if _, ok := Verify(NTHash("clientpass"), challenge, peer, response, exampleUser); ok {
		t.Error("another password verified")
	}
	if _, ok := Verify(hash, challenge, peer, response, "user"); ok {
		t.Error("another name verified")
	}
}

// A domain does not take part in the hash (RFC 2759 section 4); a realm does.
func TestDomain(t *testing.T) {
	_, challenge, peer, _ := example(t)
	plain := ChallengeHash(peer, challenge, "johndoe")
	for user, same := range map[string]bool{`BIGCO\johndoe`: true, `\johndoe`: true, "johndoe@bigco": false, "JohnDoe": false} {
		if got := ChallengeHash(peer, challenge, user) == plain; got != same {
			t.Errorf("%q hashes like johndoe: %v", user, got)
		}
	}
}

func TestNTHashBeyondASCII(t *testing.T) {
	for password, want := range map[string]string{
		"":         "31d6cfe0d16ae931b73c59d7e0c089c0",
		"password": "8846f7eaee8fb117ad06bdd830b7586c",
		"aé€𝄞":     hex.EncodeToString(utf16Sum("6100e900ac2034d81edd")),
		"bad\xff":  hex.EncodeToString(utf16Sum("620061006400fdff")),
	} {
		if got := NTHash(password); hex.EncodeToString(got[:]) != want {
			t.Errorf("%q: %x", password, got)
		}
	}
}

// utf16Sum is MD4 over what a password is in UTF-16.
func utf16Sum(s string) []byte {
	b, _ := hex.DecodeString(s)
	sum := md4Sum(b)
	return sum[:]
}

func TestVerifySuccess(t *testing.T) {
	for message, want := range map[string]bool{
		exampleSuccess:                               true,
		exampleSuccess + " M=Welcome":                true,
		"s=407a5589115fd0d6209f510fe9c04566932cda56": true,
		exampleSuccess[:41]:                          false,
		"S=407A5589115FD0D6209F510FE9C04566932CDA57": false,
		"": false,
	} {
		if VerifySuccess([]byte(message), exampleSuccess) != want {
			t.Errorf("%q", message)
		}
	}
}

func TestResponseTruncated(t *testing.T) {
	_, _, peer, response := example(t)
	b := AppendResponse(nil, Response{peer, response})
	if len(b) != ResponseLen {
		t.Fatalf("%d octets", len(b))
	}
	for n := range len(b) {
		if _, err := ParseResponse(b[:n]); err == nil {
			t.Errorf("%d octets are a response", n)
		}
	}
	if r, err := ParseResponse(b); err != nil || r.PeerChallenge != peer || r.NTResponse != response {
		t.Errorf("%+v %v", r, err)
	}
}

func TestFailure(t *testing.T) {
	f := Failure{Code: Refused, Retry: true, Challenge: [16]byte{0: 0xab, 15: 0xcd}, Message: "Access denied M=really"}
	const want = "E=691 R=1 C=AB0000000000000000000000000000CD V=3 M=Access denied M=really"
	if f.String() != want {
		t.Errorf("%s", f)
	}
	if got, err := ParseFailure(want); err != nil || got != f {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := ParseFailure("E=691 R=0"); err != nil || got != (Failure{Code: 691}) {
		t.Errorf("%+v %v", got, err)
	}
	for _, s := range []string{"", "R=1", "E=", "E=x", "E=-1", "E=99999999999", "M=E=691"} {
		if _, err := ParseFailure(s); err == nil {
			t.Errorf("%q is a failure", s)
		}
	}
}

func TestMD5(t *testing.T) {
	// MD5("\x01secret" + challenge), computed apart.
	challenge := unhex(t, "000102030405060708090a0b0c0d0e0f")
	r := MD5Response(1, []byte("secret"), challenge)
	if !VerifyMD5(1, []byte("secret"), challenge, r[:]) {
		t.Error("own response refused")
	}
	for name, ok := range map[string]bool{
		"identifier": VerifyMD5(2, []byte("secret"), challenge, r[:]),
		"secret":     VerifyMD5(1, []byte("Secret"), challenge, r[:]),
		"challenge":  VerifyMD5(1, []byte("secret"), challenge[1:], r[:]),
		"short":      VerifyMD5(1, []byte("secret"), challenge, r[:15]),
		"empty":      VerifyMD5(1, []byte("secret"), challenge, nil),
	} {
		if ok {
			t.Errorf("verified with another %s", name)
		}
	}
}

func TestPAP(t *testing.T) {
	b := AppendPAP(nil, "alice", []byte("pass word"))
	user, password, err := ParsePAP(b)
	if err != nil || string(user) != "alice" || string(password) != "pass word" {
		t.Fatalf("%q %q %v", user, password, err)
	}
	for n := range len(b) {
		if _, _, err := ParsePAP(b[:n]); err == nil {
			t.Errorf("%d octets are a request", n)
		}
	}
	if !VerifyPAP([]byte("x"), []byte("x")) || VerifyPAP([]byte("x"), []byte("xx")) || VerifyPAP([]byte("x"), nil) {
		t.Error("VerifyPAP")
	}
	if hash := NTHash("x"); !VerifyPAPHash(hash, []byte("x")) || VerifyPAPHash(hash, []byte("X")) {
		t.Error("VerifyPAPHash")
	}
}

func FuzzFailure(f *testing.F) {
	f.Add("E=691 R=1 C=AB0000000000000000000000000000CD V=3 M=no")
	f.Add("E=0")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseFailure(s)
		if err != nil {
			return
		}
		b, err := ParseFailure(a.String())
		if err != nil || a != b {
			t.Fatalf("%+v became %+v: %v", a, b, err)
		}
	})
}

func FuzzPAP(f *testing.F) {
	f.Add(AppendPAP(nil, "alice", []byte("secret")))
	f.Fuzz(func(t *testing.T, b []byte) {
		user, password, err := ParsePAP(b)
		if err != nil {
			return
		}
		again := AppendPAP(nil, string(user), password)
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

package eap

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ppp/auth"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// seeded is a source of bytes that a test repeats.
func seeded(n uint64) *mrand.ChaCha8 {
	return mrand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
}

// pair drives a server and a client against each other.
type pair struct {
	t        *testing.T
	server   *Server
	client   *Client
	password string // that the server knows
	typed    string // that the client knows
	packets  int
	dup      bool
	ended    [2]*Done
}

func msk(hash [16]byte, response [24]byte) []byte {
	master := auth.MasterKey(hash, response)
	in, out := auth.StartKey(master, false, true), auth.StartKey(master, true, true)
	return append(append(in[:], out[:]...), make([]byte, 32)...)
}

func (p *pair) run() (server, client *Done) {
	p.t.Helper()
	p.server.Start()
	for moved := true; moved; {
		moved = p.stepServer()
		moved = p.stepClient() || moved
		if p.packets > 400 {
			p.t.Fatal("no end")
		}
	}
	return p.ended[0], p.ended[1]
}

func (p *pair) stepServer() bool {
	e, ok := p.server.Next()
	switch e := e.(type) {
	case Send:
		p.packets++
		p.feed(func() error { return p.client.Input(now, e.Packet) })
	case Verify:
		hash := auth.NTHash(p.password)
		success, ok := auth.Verify(hash, e.Challenge, e.PeerChallenge, e.NTResponse, e.User)
		p.server.Verified(Verdict{OK: ok, Success: success, MSK: msk(hash, e.NTResponse)})
	case Compute:
		p.server.Computed(e.Do())
	case Done:
		p.ended[0] = &e
	}
	return ok
}

func (p *pair) stepClient() bool {
	e, ok := p.client.Next()
	switch e := e.(type) {
	case Send:
		p.packets++
		p.feed(func() error { return p.server.Input(now, e.Packet) })
	case Respond:
		hash := auth.NTHash(p.typed)
		r := auth.NTResponse(hash, e.Challenge, e.PeerChallenge, e.User)
		p.client.Responded(Answer{NTResponse: r, MSK: msk(hash, r),
			Success: auth.AuthenticatorResponse(hash, r, e.Challenge, e.PeerChallenge, e.User)})
	case Compute:
		p.client.Computed(e.Do())
	case Done:
		p.ended[1] = &e
	}
	return ok
}

// feed gives a packet once, or, where the carrier duplicates, twice.
func (p *pair) feed(input func() error) {
	err := input()
	if p.dup && err == nil {
		input()
	}
}

func newPair(t *testing.T, s ServerConfig, c ClientConfig) *pair {
	t.Helper()
	s.Rand, c.Rand = seeded(1), seeded(2)
	server, err := NewServer(s)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{t: t, server: server, client: client, password: "secret", typed: "secret"}
}

func wantAgreed(t *testing.T, server, client *Done, m Type) {
	t.Helper()
	if server == nil || client == nil || !server.OK || !client.OK {
		t.Fatalf("server %+v, client %+v", server, client)
	}
	if len(server.MSK) != mskLen || !bytes.Equal(server.MSK, client.MSK) || bytes.Equal(server.MSK, make([]byte, mskLen)) {
		t.Errorf("MSK %x and %x", server.MSK, client.MSK)
	}
	if server.Method != m || client.Method != m {
		t.Errorf("methods %v and %v", server.Method, client.Method)
	}
}

func TestMSCHAPv2(t *testing.T) {
	for _, dup := range []bool{false, true} {
		p := newPair(t, ServerConfig{Methods: []Type{TypeMSCHAPv2}, Name: "vpn"},
			ClientConfig{Identity: "acme\\alice", Methods: []Type{TypeMSCHAPv2}})
		p.dup = dup
		server, client := p.run()
		wantAgreed(t, server, client, TypeMSCHAPv2)
		if server.Identity != "acme\\alice" {
			t.Errorf("identity %q", server.Identity)
		}
	}
}

func TestMSCHAPv2WrongPassword(t *testing.T) {
	p := newPair(t, ServerConfig{Methods: []Type{TypeMSCHAPv2}}, ClientConfig{Identity: "alice", Methods: []Type{TypeMSCHAPv2}})
	p.typed = "guess"
	server, client := p.run()
	if server == nil || server.OK || !errors.Is(server.Err, ErrRejected) || server.MSK != nil {
		t.Errorf("server %+v", server)
	}
	if client == nil || client.OK || !errors.Is(client.Err, ErrRejected) {
		t.Errorf("client %+v", client)
	}
}

// TestNak is the order of Windows: it refuses TLS and wants MSCHAPv2.
func TestNak(t *testing.T) {
	p := newPair(t, ServerConfig{Methods: []Type{TypeTLS, TypeMSCHAPv2}, TLS: newPKI(t).server},
		ClientConfig{Identity: "alice", Methods: []Type{TypeMSCHAPv2}})
	server, client := p.run()
	wantAgreed(t, server, client, TypeMSCHAPv2)

	p = newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: newPKI(t).server},
		ClientConfig{Identity: "alice", Methods: []Type{TypeMSCHAPv2}})
	server, client = p.run()
	if server == nil || !errors.Is(server.Err, ErrNoMethod) || client == nil || client.OK {
		t.Errorf("server %+v, client %+v", server, client)
	}
}

// pki is an authority with a server's and a client's certificate.
type pki struct{ server, client *TLSConfig }

func newPKI(t *testing.T) pki {
	t.Helper()
	caKey, ca := issue(t, "ca", nil, nil)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	verify := func(_ time.Time, sent []*x509.Certificate) error {
		if len(sent) == 0 {
			return errors.New("none")
		}
		return sent[0].CheckSignatureFrom(ca)
	}
	config := func(name string) *TLSConfig {
		key, c := issue(t, name, ca, caKey)
		return &TLSConfig{Certificate: tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}, Authorities: roots, VerifyPeer: verify}
	}
	return pki{config("server"), config("client")}
}

func issue(t *testing.T, name string, ca *x509.Certificate, caKey crypto.Signer) (crypto.Signer, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: ca == nil, BasicConstraintsValid: true}
	if ca == nil {
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, c
}

func TestTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, fragment := range []int{0, 64, 300} {
			k := newPKI(t)
			k.server.MaxVersion, k.server.Fragment, k.client.Fragment = version, fragment, fragment/2
			p := newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: k.server},
				ClientConfig{Identity: "alice", Methods: []Type{TypeTLS}, TLS: k.client})
			p.dup = fragment == 300
			server, client := p.run()
			wantAgreed(t, server, client, TypeTLS)
			if server.Identity != "alice" || len(server.Certificates) != 1 || server.Certificates[0].Subject.CommonName != "client" ||
				client.Certificates[0].Subject.CommonName != "server" {
				t.Errorf("%x: server %+v, client %+v", version, server, client)
			}
		}
	}
}

// TestTLSRefused: either side's doubts end it, and the reason is the exact one.
func TestTLSRefused(t *testing.T) {
	no := errors.New("expired yesterday")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, byServer := range []bool{false, true} {
			k := newPKI(t)
			k.server.MaxVersion = version
			refuse := func(time.Time, []*x509.Certificate) error { return no }
			if byServer {
				k.server.VerifyPeer = refuse
			} else {
				k.client.VerifyPeer = refuse
			}
			p := newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: k.server},
				ClientConfig{Identity: "alice", Methods: []Type{TypeTLS}, TLS: k.client})
			server, client := p.run()
			if server == nil || client == nil || server.OK || client.OK || server.MSK != nil || client.MSK != nil {
				t.Fatalf("server %+v, client %+v", server, client)
			}
			if got := map[bool]error{true: server.Err, false: client.Err}[byServer]; !errors.Is(got, no) || !errors.Is(got, ErrTLS) {
				t.Errorf("%x %v: %v", version, byServer, got)
			}
		}
	}
}

// TestFailureBeforeTheEnd: the server knows why it refuses a client as soon as that
// is sent, for clients that go without an answer.
func TestFailureBeforeTheEnd(t *testing.T) {
	k, no := newPKI(t), errors.New("expired yesterday")
	k.server.VerifyPeer = func(time.Time, []*x509.Certificate) error { return no }
	p := newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: k.server}, ClientConfig{Identity: "alice", Methods: []Type{TypeTLS}, TLS: k.client})
	p.server.Start()
	for early := true; early; {
		early = p.server.Failure() == nil && (p.stepServer() || p.stepClient())
	}
	if err := p.server.Failure(); !errors.Is(err, no) || p.ended[0] != nil {
		t.Errorf("failure %v, end %v", err, p.ended[0])
	}
	p.server.Close()
	if err := p.server.Failure(); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

// TestTLSWithoutCertificate: a client that shows none is refused.
func TestTLSWithoutCertificate(t *testing.T) {
	k := newPKI(t)
	k.client.Certificate = tls.Certificate{}
	p := newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: k.server}, ClientConfig{Identity: "alice", Methods: []Type{TypeTLS}, TLS: k.client})
	if server, _ := p.run(); server == nil || server.OK {
		t.Errorf("server %+v", server)
	}
}

// TestCloseInTheMiddle: a handshake may be given up between and during its steps.
func TestCloseInTheMiddle(t *testing.T) {
	for during := range 2 {
		k := newPKI(t)
		k.client.Fragment = 4096
		p := newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: k.server, SkipIdentity: true},
			ClientConfig{Identity: "alice", Methods: []Type{TypeTLS}, TLS: k.client})
		p.server.Start()
		e, _ := p.server.Next()
		if err := p.client.Input(now, e.(Send).Packet); err != nil {
			t.Fatal(err)
		}
		e, _ = p.client.Next()
		p.client.Computed(e.(Compute).Do())
		e, _ = p.client.Next()
		if err := p.server.Input(now, e.(Send).Packet); err != nil {
			t.Fatal(err)
		}
		e, _ = p.server.Next()
		var result any
		if during == 1 {
			p.server.Close()
		}
		result = e.(Compute).Do()
		p.server.Close()
		p.client.Close()
		p.server.Computed(result)
		if e, ok := p.server.Next(); ok {
			t.Errorf("%#v after the end", e)
		}
	}
}

// TestMSKWithoutExtendedMasterSecret: the fallback derives what crypto/tls would.
func TestMSKWithoutExtendedMasterSecret(t *testing.T) {
	k := newPKI(t)
	k.server.MaxVersion = tls.VersionTLS12
	s, c := newSession(k.server, rand.Reader, true), newSession(k.client, rand.Reader, false)
	first := s.engine.step(c.step(now, nil, false).out)
	if s.engine.step(c.step(now, first, false).out); s.engine.err != nil || !s.engine.over {
		t.Fatal(s.engine.err)
	}
	state := s.engine.conn.ConnectionState()
	want, err := state.ExportKeyingMaterial("client EAP encryption", nil, mskLen)
	if err != nil {
		t.Fatal(err)
	}
	client, master, ok := parseKeylog(s.keylog.Bytes())
	if got := prf12(prfHash(state.CipherSuite), master, "client EAP encryption", append(client, serverRandom(first)...), mskLen); !ok || !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	// RFC 5246, section 5, with the published vector of P_SHA256.
	secret := []byte{0x9b, 0xbe, 0x43, 0x6b, 0xa9, 0x40, 0xf0, 0x17, 0xb1, 0x76, 0x52, 0x84, 0x9a, 0x71, 0xdb, 0x35}
	seed := []byte{0xa0, 0xba, 0x9f, 0x93, 0x6c, 0xda, 0x31, 0x18, 0x27, 0xa6, 0xf7, 0x96, 0xff, 0xd5, 0x19, 0x8c}
	want = []byte{0xe3, 0xf2, 0x29, 0xba, 0x72, 0x7b, 0xe1, 0x7b, 0x8d, 0x12, 0x26, 0x20, 0x55, 0x7c, 0xd4, 0x53}
	if got := prf12(prfHash(0), secret, "test label", seed, 16); !bytes.Equal(got, want) {
		t.Errorf("PRF %x", got)
	}
}

// TestPackets: what does not belong is dropped, and the exchange goes on.
func TestPackets(t *testing.T) {
	p := newPair(t, ServerConfig{Methods: []Type{TypeMSCHAPv2}}, ClientConfig{Identity: "alice", Methods: []Type{TypeMSCHAPv2}})
	p.server.Start()
	e, _ := p.server.Next()
	request, _ := ConsumePacket(e.(Send).Packet)
	for _, b := range [][]byte{nil, {2}, {2, request.Identifier, 0, 4}, {2, request.Identifier, 0, 9, 1},
		{1, request.Identifier, 0, 5, 1}, {3, 0, 0, 4}, {2, request.Identifier + 1, 0, 5, 1}, {9, 0, 0, 5, 1},
		{2, request.Identifier, 0, 6, 26, 2}} {
		if err := p.server.Input(now, b); err == nil {
			t.Errorf("%x accepted", b)
		}
	}
	// A success out of nowhere is not believed.
	if err := p.client.Input(now, []byte{3, 1, 0, 4}); !errors.Is(err, ErrUnexpected) {
		t.Errorf("success: %v", err)
	}
	if err := p.client.Input(now, e.(Send).Packet); err != nil {
		t.Error(err)
	}
	server, client := p.run()
	wantAgreed(t, server, client, TypeMSCHAPv2)
}

// TestRepeat: the request that waits is sent again, byte for byte.
func TestRepeat(t *testing.T) {
	p := newPair(t, ServerConfig{Methods: []Type{TypeMSCHAPv2}}, ClientConfig{Identity: "alice", Methods: []Type{TypeMSCHAPv2}})
	p.server.Start()
	first, _ := p.server.Next()
	p.server.Repeat()
	again, ok := p.server.Next()
	if !ok || !bytes.Equal(first.(Send).Packet, again.(Send).Packet) {
		t.Errorf("%v, then %v", first, again)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []ServerConfig{{}, {Rand: rand.Reader}, {Rand: rand.Reader, Methods: []Type{TypeTLS}}, {Rand: rand.Reader, Methods: []Type{TypeGTC}}} {
		if _, err := NewServer(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []ClientConfig{{}, {Rand: rand.Reader, Methods: []Type{TypeTLS}}, {Rand: rand.Reader, Methods: []Type{TypeMD5}}} {
		if _, err := NewClient(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// FuzzPacket: what is read is written the same.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{1, 1, 0, 5, 1})
	f.Add([]byte{3, 1, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ConsumePacket(b)
		if err != nil {
			return
		}
		if got := AppendPacket(nil, p); !bytes.HasPrefix(b, got) {
			t.Fatalf("%x from %x", got, b)
		}
	})
}

// FuzzMachines: any packets in any order, and nobody is let in by them.
func FuzzMachines(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x05\x01\x02\x00\x00\x06\x0d\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		server, _ := NewServer(ServerConfig{Rand: seeded(3), Methods: []Type{TypeMSCHAPv2}})
		client, _ := NewClient(ClientConfig{Rand: seeded(4), Methods: []Type{TypeMSCHAPv2}})
		server.Start()
		defer server.Close()
		defer client.Close()
		for len(b) > 5 {
			n := min(len(b), 5+int(b[4])%64)
			packet := append([]byte{b[0] % 5, server.id + b[1]%2, 0, byte(n)}, b[4:n]...)
			b = b[n:]
			server.Input(now, packet)
			client.Input(now, packet)
			for e, ok := server.Next(); ok; e, ok = server.Next() {
				switch e := e.(type) {
				case Done:
					if e.OK {
						t.Fatal("let in")
					}
				case Verify:
					server.Verified(Verdict{})
				}
			}
			for e, ok := client.Next(); ok; e, ok = client.Next() {
				switch e := e.(type) {
				case Done:
					if e.OK {
						t.Fatal("convinced")
					}
				case Respond:
					client.Responded(Answer{Success: "S=0123456789012345678901234567890123456789"})
				}
			}
		}
	})
}

// TestTLSJunk: what is no handshake ends in failure, and lengths are bounded.
func TestTLSJunk(t *testing.T) {
	junk := make([]byte, 200)
	seeded(9).Read(junk)
	for name, data := range map[string][]byte{"random": append([]byte{0}, junk...), "record": append([]byte{0, 22, 3, 1, 0, 195}, junk[:195]...),
		"alert": {0, 21, 3, 3, 0, 2, 2, 40}} {
		s, err := NewServer(ServerConfig{Rand: seeded(1), Methods: []Type{TypeTLS}, TLS: newPKI(t).server, SkipIdentity: true})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		answer := func(data []byte) error {
			return s.Input(now, AppendPacket(nil, Packet{CodeResponse, s.id, TypeTLS, data}))
		}
		for _, bad := range [][]byte{nil, {flagLength, 0, 0}, {flagLength, 0, 2, 0, 0}, {0}} {
			if err := answer(bad); err == nil {
				t.Errorf("%x accepted", bad)
			}
		}
		if err := answer(data); err != nil {
			t.Fatal(err)
		}
		var end *Done
		for e, ok := s.Next(); ok; e, ok = s.Next() {
			switch e := e.(type) {
			case Compute:
				s.Computed(e.Do())
				answer([]byte{0})
			case Done:
				end = &e
			}
		}
		if end == nil || end.OK || !errors.Is(end.Err, ErrTLS) {
			t.Errorf("%s: %+v", name, end)
		}
	}
}

// TestFlightIsBounded: fragments without end are refused.
func TestFlightIsBounded(t *testing.T) {
	s := newSession(newPKI(t).server, rand.Reader, true)
	defer s.close()
	piece := append([]byte{flagMore}, make([]byte, 1000)...)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, _, err = s.consume(piece)
	}
	if !errors.Is(err, ErrMalformed) || n > 70 {
		t.Errorf("after %d: %v", n, err)
	}
}

package ppp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ppp/auth"
)

// An answer is for one question, and needs what the client must be told.
func TestAuthenticated(t *testing.T) {
	f := script(t, Config{})
	ok := Verdict{OK: true, Success: "S=x", Local: gatewayAddr, Peer: clientAddr}
	wantErr := func(what string, id uint32, v Verdict, want error) {
		t.Helper()
		if err := f.link.Authenticated(f.now, id, v); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantErr("before anything", 0, ok, ErrAnswer)
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	f.run(`< CHAP Response 1 ` + zeros49 + ` "alice"`)
	wantErr("another question", f.pending+1, ok, ErrAnswer)
	wantErr("no success", f.pending, Verdict{OK: true, Local: gatewayAddr, Peer: clientAddr}, ErrIncomplete)
	wantErr("no addresses", f.pending, Verdict{OK: true, Success: "S=x"}, ErrIncomplete)
	f.want("< LCP ConfReq 2 5:99999999", // the client begins anew
		"> LCP ConfReq 2 1:0578 3:c22381 5:01020304", "> LCP ConfAck 2 5:99999999")
	wantErr("too late", f.pending, ok, ErrAnswer)
	f.run("< ack LCP")
	f.run(`< CHAP Response 2 ` + zeros49 + ` "alice"`)
	wantErr("at last", f.pending, ok, nil)
	wantErr("twice", f.pending, ok, ErrAnswer)
}

func TestResponsesMustFit(t *testing.T) {
	f := script(t, Config{})
	f.run("< LCP ConfReq 1 5:41131244")
	f.want("< ack LCP", "> CHAP Challenge 1 =1005060708090a0b0c0d0e0f101112131463756c76657274")
	for _, line := range []string{
		`< CHAP Response 2 ` + zeros49,                // another identifier
		`< CHAP Response 1 =30` + zeros49[3:],         // a value of 48 octets
		`< CHAP Response 1 =31` + zeros49[5:],         // shorter than it says
		`< CHAP Response 1`,                           // nothing
		`< CHAP Challenge 1 =1000`,                    // we are not to be challenged
		`< PAP AuthReq 1 =056e69616c6c06736563726574`, // not what was agreed on
		`< CHAP Response 1 ` + zeros49 + " =" + strings.Repeat("41", 256),
	} {
		if got := f.run(line); len(got) != 1 || !strings.HasPrefix(got[0], "! refused") {
			t.Errorf("%s: %q", line, got)
		}
	}
	f.want("wait 3s", "> CHAP Challenge 1 =1005060708090a0b0c0d0e0f101112131463756c76657274")
	f.want(`< CHAP Response 1 `+zeros49+` "alice"`, `! authenticate 1: MS-CHAPv2 "alice"`)
	f.want(`< CHAP Response 1 `+zeros49+` "alice"`, "! refused: "+ErrRepetition.Error())
}

func TestNoResponse(t *testing.T) {
	f := script(t, Config{EchoInterval: -1})
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	if got := f.run("wait 29s"); len(got) != 9 {
		t.Errorf("%d challenges more", len(got))
	}
	f.want("wait 1s", `> LCP TermReq 2 "no answer to authentication"`)
}

func TestRetriesAreBounded(t *testing.T) {
	p := newPair(t, 1, Config{}, clientConfig(t, ""), admission{password: "other", retry: true})
	p.start()
	p.run(time.Minute)
	p.wantClosed("a retry that nobody takes")

	f := script(t, Config{EchoInterval: -1})
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	for id := 1; id <= maxRetries+1; id++ {
		f.run(fmt.Sprintf(`< CHAP Response %d %s "alice%d"`, id, zeros49, id))
		got := f.run("verdict 691 retry")
		if want := id <= maxRetries; len(got) != 1 || strings.Contains(got[0], "R=1") != want {
			t.Errorf("try %d: %q", id, got)
		}
	}
	f.want("wait 3s", `> LCP TermReq 2 "authentication failed"`)
}

// Who was refused gets no more passwords to try by negotiating anew.
func TestRefusedIsRefused(t *testing.T) {
	f := script(t, Config{EchoInterval: -1})
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	f.run(`< CHAP Response 1 ` + zeros49 + ` "alice"`)
	f.run("verdict 691")
	f.run("< LCP ConfReq 2 5:99999999")
	got := strings.Join(f.run("< ack LCP"), "\n")
	if strings.Contains(got, "CHAP") || !strings.Contains(got, "TermReq") {
		t.Errorf("then %q", got)
	}
}

// Who negotiates anew without end is not there for ever.
func TestNegotiatingAnewEnds(t *testing.T) {
	f := script(t, Config{EchoInterval: -1})
	f.run("< LCP ConfReq 1 5:41131244")
	for n := range 120 {
		f.run("< ack LCP")
		f.run(fmt.Sprintf("< LCP ConfReq %d 5:%08x", 2+n%200, 0x99990000+n))
		f.run("wait 1s")
	}
	if !f.link.failed {
		t.Error("after two minutes the link still waits for a login")
	}
}

func TestVerifyMethods(t *testing.T) {
	hash := auth.NTHash("secret")
	var challenge, peer [16]byte
	v2 := auth.AppendResponse(nil, auth.Response{PeerChallenge: peer, NTResponse: auth.NTResponse(hash, challenge, peer, "alice")})
	md5 := auth.MD5Response(7, []byte("secret"), challenge[:])
	for _, a := range []Authenticate{
		{Method: MSCHAPv2, User: "alice", Challenge: challenge[:], Response: v2},
		{Method: CHAPMD5, User: "alice", Identifier: 7, Challenge: challenge[:], Response: md5[:]},
		{Method: PAP, User: "alice", Response: []byte("secret")},
	} {
		if success, ok := a.VerifyPassword([]byte("secret")); !ok || (success != "") != (a.Method == MSCHAPv2) {
			t.Errorf("%s: %q %v", a.Method, success, ok)
		}
		if _, ok := a.VerifyPassword([]byte("Secret")); ok {
			t.Errorf("%s: another password", a.Method)
		}
		if _, ok := a.VerifyHash(hash); ok != (a.Method != CHAPMD5) {
			t.Errorf("%s: by hash %v", a.Method, ok)
		}
		if _, ok := a.VerifyHash([16]byte{}); ok {
			t.Errorf("%s: another hash", a.Method)
		}
	}
	if _, ok := (Authenticate{}).VerifyPassword(nil); ok {
		t.Error("nothing verifies")
	}
}

package ppp

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// eapOwners are the machines of both sides in a test: the server asks for a number of
// things, the client answers each, and takes a Success only after the last.
type eapOwners struct {
	p        *pair
	rounds   int
	good     bool
	query    uint32
	sent     int
	answered int
	finished bool
}

func eapPacket(c code, id uint8, data ...byte) []byte {
	return append([]byte{byte(c), id, 0, byte(packetHeaderLen + len(data))}, data...)
}

func (o *eapOwners) take(e *end, ev Event) bool {
	switch ev := ev.(type) {
	case Authenticate:
		o.query, o.sent = ev.ID, 0
		o.ask(e)
	case EAPResponse:
		if ev.ID != o.query || code(ev.Packet[0]) != eapResponse || ev.Packet[1] != uint8(o.sent) {
			o.p.t.Fatalf("response %x to request %d of %d", ev.Packet, o.sent, o.query)
		}
		o.ask(e)
	case EAPRequest:
		o.answer(e, ev.Packet)
	default:
		return false
	}
	return true
}

// ask asks for one thing more, or ends.
func (o *eapOwners) ask(e *end) {
	var err error
	if o.sent++; o.sent <= o.rounds {
		err = e.link.EAPRequest(o.p.now, o.query, eapPacket(eapRequest, uint8(o.sent), 1, byte(o.sent)))
	} else {
		o.sent--
		v := Verdict{OK: o.good, Local: gatewayAddr, Peer: clientAddr, Code: 691}
		err = e.link.Authenticated(o.p.now, o.query, v)
	}
	if err != nil {
		o.p.t.Fatal(err)
	}
}

func (o *eapOwners) answer(e *end, packet []byte) {
	var err error
	switch code(packet[0]) {
	case eapRequest:
		o.answered = int(packet[1])
		err = e.link.EAPRespond(eapPacket(eapResponse, packet[1], packet[4:]...))
	case eapSuccess:
		if o.answered == o.rounds {
			o.finished = true
			err = e.link.EAPFinished(o.p.now, true)
		}
	case eapFailure:
		err = e.link.EAPFinished(o.p.now, false)
	}
	if err != nil {
		o.p.t.Fatal(err)
	}
}

func newEAPPair(t testing.TB, seed uint64, persona string, rounds int, good bool) (*pair, *eapOwners) {
	c := clientConfig(t, persona)
	c.Auth = AuthPolicy{EAP: true}
	c.LoginTimeout, c.EchoInterval = 3*time.Minute, -1
	p := newPair(t, seed, Config{Auth: AuthPolicy{EAP: true, MSCHAPv2: true}, LoginTimeout: 3 * time.Minute, EchoInterval: -1}, c, admission{})
	o := &eapOwners{p: p, rounds: rounds, good: good}
	p.owner = o.take
	return p, o
}

// The server asks for MS-CHAPv2 first; a client with EAP alone says so.
func TestEAP(t *testing.T) {
	for _, persona := range []string{"culvert", "windows10"} {
		for rounds := range 5 {
			p, o := newEAPPair(t, 1, persona, rounds+1, true)
			p.start()
			p.run(time.Minute)
			p.wantUp(persona)
			if !o.finished || o.answered != rounds+1 {
				t.Errorf("%s: %+v", persona, o)
			}
		}
		p, _ := newEAPPair(t, 1, persona, 2, false)
		p.start()
		p.run(time.Minute)
		for _, r := range p.bothClosed(persona) {
			if r.Cause != CauseAuthFailed || r.Code != 691 {
				t.Errorf("%s: %s", persona, r)
			}
		}
	}
}

// Whatever is lost, a login by EAP ends; a Success that is lost too.
func TestEAPUnderLoss(t *testing.T) {
	ups := 0
	const seeds = 300
	for seed := range uint64(seeds) {
		p, _ := newEAPPair(t, seed, []string{"culvert", "windows10"}[seed%2], 4, seed%10 != 9)
		p.fault = 0.2
		p.start()
		p.run(10 * time.Minute)
		if _, ok := p.server.closed(); ok {
			p.wantClosed(fmt.Sprint("seed ", seed))
			continue
		}
		p.wantUp(fmt.Sprint("seed ", seed))
		ups++
	}
	t.Logf("%d of %d logins stand", ups, seeds)
	if ups < seeds*8/10 {
		t.Errorf("only %d of %d logins stand", ups, seeds)
	}
}

// serverWithEAP is a server's link that has asked its owner for a machine.
func serverWithEAP(t testing.TB) *flow {
	f := script(t, Config{Auth: AuthPolicy{EAP: true}, EchoInterval: -1})
	f.run("< LCP ConfReq 1 5:41131244")
	f.want("< ack LCP", `! authenticate 1: EAP ""`)
	return f
}

func (f *flow) inputEAP(packet []byte) error {
	return f.link.Input(f.now, append(AppendHeader(nil, ProtocolEAP, false, false), packet...))
}

// RFC 3748 sections 4.1 and 4.3: what does not fit the request is discarded, and the
// request is repeated until something does.
func TestEAPServer(t *testing.T) {
	f := serverWithEAP(t)
	wantErr := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v", what, got)
		}
	}
	request := eapPacket(eapRequest, 7, 1)
	wantErr("another query", f.link.EAPRequest(f.now, f.pending+1, request), ErrAnswer)
	wantErr("a response", f.link.EAPRequest(f.now, f.pending, eapPacket(eapResponse, 7, 1)), ErrPacket)
	wantErr("a wrong length", f.link.EAPRequest(f.now, f.pending, append(request, 0)), ErrPacket)
	wantErr("nothing", f.link.EAPRequest(f.now, f.pending, nil), ErrPacket)
	long := make([]byte, f.link.EAPRoom()+1)
	long[0], long[2], long[3] = byte(eapRequest), byte(len(long)>>8), byte(len(long))
	wantErr("too long", f.link.EAPRequest(f.now, f.pending, long), ErrTooLong)
	wantErr("before a request", f.inputEAP(eapPacket(eapResponse, 7, 1)), ErrPhase)
	wantErr("a request", f.link.EAPRequest(f.now, f.pending, request), nil)
	f.drain()
	f.want("wait 3s", "> EAP Request 7 =01")
	f.want("wait 3s", "> EAP Request 7 =01")
	wantErr("another identifier", f.inputEAP(eapPacket(eapResponse, 6, 1)), ErrMismatch)
	wantErr("not a response", f.inputEAP(eapPacket(eapRequest, 7, 1)), ErrCode)
	wantErr("shorter than it says", f.inputEAP([]byte{2, 7, 0, 9, 1}), ErrPacket)
	wantErr("a response", f.inputEAP(eapPacket(eapResponse, 7, 1, 'a')), nil)
	wantErr("once more", f.inputEAP(eapPacket(eapResponse, 7, 1, 'a')), ErrRepetition)
	if got := f.run("wait 1s"); !slices.Equal(got, []string{"! eap 1 0207000601" + "61"}) {
		t.Errorf("%q", got)
	}
	f.want("wait 20s") // while the owner thinks, nothing is repeated
	wantErr("incomplete", f.link.Authenticated(f.now, f.pending, Verdict{OK: true}), ErrIncomplete)
	f.want("verdict ok", "> EAP Success 7", "> IPCP ConfReq 1 3:0a640001")
	wantErr("after the end", f.inputEAP(eapPacket(eapResponse, 7, 1, 'a')), ErrPhase)
}

// A client that says nothing is not asked for ever, and neither is one that answers all.
func TestEAPEnds(t *testing.T) {
	f := serverWithEAP(t)
	if err := f.link.EAPRequest(f.now, f.pending, eapPacket(eapRequest, 1, 1)); err != nil {
		t.Fatal(err)
	}
	f.run("wait 29s")
	f.want("wait 1s", `> LCP TermReq 2 "no answer to authentication"`)
	f = serverWithEAP(t)
	for i := range maxEAPRounds {
		if err := f.link.EAPRequest(f.now, f.pending, eapPacket(eapRequest, uint8(i), 1)); err != nil {
			t.Fatal(err)
		}
		if err := f.inputEAP(eapPacket(eapResponse, uint8(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	f.drain()
	f.out = nil
	if err := f.link.EAPRequest(f.now, f.pending, eapPacket(eapRequest, 1, 1)); err != nil {
		t.Fatal(err)
	}
	f.want("wait 1ms", `> LCP TermReq 2 "negotiation does not converge"`)
}

// The owner's own packets end it, where they are what they should be.
func TestEAPLastPacket(t *testing.T) {
	f := serverWithEAP(t)
	v := Verdict{Code: 691, EAP: eapPacket(eapFailure, 9)}
	if err := f.link.Authenticated(f.now, f.pending, v); err != nil {
		t.Fatal(err)
	}
	f.want("wait 1ms", "> EAP Failure 9")
	f = serverWithEAP(t)
	v.EAP = eapPacket(eapSuccess, 9) // not for who is refused
	if err := f.link.Authenticated(f.now, f.pending, v); err != nil {
		t.Fatal(err)
	}
	f.want("wait 1ms", "> EAP Failure 0")
}

// Nobody is let in who negotiates EAP anew: a machine of before is not heard.
func TestEAPAnew(t *testing.T) {
	f := serverWithEAP(t)
	before := f.pending
	f.run("< LCP ConfReq 2 5:99999999")
	f.want("< ack LCP", `! authenticate 2: EAP ""`)
	if err := f.link.Authenticated(f.now, before, Verdict{OK: true, Local: gatewayAddr, Peer: clientAddr}); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
}

// EAP that nobody agreed on is a protocol that is not spoken.
func TestNoEAP(t *testing.T) {
	f := script(t, Config{EchoInterval: -1})
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	f.want("< EAP Response 1 =01", "> LCP ProtRej 2 =c2270201000501")
}

// The client's side: the same request gets the same response.
func TestEAPClient(t *testing.T) {
	c := clientConfig(t, "")
	c.Role, c.Auth, c.EchoInterval = Client, AuthPolicy{EAP: true}, -1
	f := script(t, c)
	if err := f.link.EAPRespond(eapPacket(eapResponse, 1)); !errors.Is(err, ErrAnswer) {
		t.Errorf("before anything: %v", err)
	}
	f.run("< LCP ConfReq 1 3:c227 5:41131244")
	f.run("< ack LCP")
	f.want("< EAP Request 3 =01", "! eap 0103000501")
	f.want("< EAP Request 3 =01")
	for _, bad := range [][]byte{nil, eapPacket(eapRequest, 3), {2, 3, 0, 9}} {
		if err := f.link.EAPRespond(bad); !errors.Is(err, ErrPacket) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	if err := f.link.EAPRespond(eapPacket(eapResponse, 4)); !errors.Is(err, ErrMismatch) {
		t.Errorf("another identifier: %v", err)
	}
	if err := f.link.EAPRespond(eapPacket(eapResponse, 3, 1, 'a')); err != nil {
		t.Fatal(err)
	}
	f.want("wait 1ms", "> EAP Response 3 =0161")
	f.want("< EAP Request 3 =01", "> EAP Response 3 =0161")
	// The server goes on: its Success was lost.
	f.want("< IPCP ConfReq 1 3:0a640001", "! refused: "+ErrPhase.Error(), "! eap 03030004")
	if err := f.link.EAPFinished(f.now, true); err != nil {
		t.Fatal(err)
	}
	f.run("wait 1ms")
	if f.link.phase != phaseNetwork {
		t.Error("not in the network phase")
	}
	if err := f.link.EAPFinished(f.now, false); !errors.Is(err, ErrAnswer) {
		t.Errorf("after the end: %v", err)
	}
}

// A client that likes another method better says so once, and takes EAP from a
// server that insists.
func TestEAPIsNotLikedBest(t *testing.T) {
	c := clientConfig(t, "")
	c.Role, c.Auth, c.EchoInterval = Client, AuthPolicy{EAP: true, MSCHAPv2: true}, -1
	f := script(t, c)
	f.want("< LCP ConfReq 1 3:c227", "> LCP ConfNak 1 3:c22381")
	f.want("< LCP ConfReq 2 3:c227", "> LCP ConfAck 2 3:c227")
}

func TestServerInsistsOnEAP(t *testing.T) {
	f := script(t, Config{Auth: AuthPolicy{EAP: true}, EchoInterval: -1})
	f.want("< LCP ConfNak 1 3:c22381", "> LCP ConfReq 2 1:0578 3:c227 5:01020304")
	f.want("< LCP ConfNak 2 3:c22381", `> LCP TermReq 3 "no common authentication protocol"`)
}

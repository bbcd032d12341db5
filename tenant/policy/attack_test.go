package policy

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// outlives reports whether a connection that was silent for a while goes on with what the
// server sends next.
func (c *connection) outlives(seconds uint32, acks uint32) bool {
	return c.f.Judge(Now{1, 1 + seconds}, nil, c.ann, numbered(c.t, webAnn, annWeb, ack, 5001, acks, 500, 10)).Allow
}

// TestForgedResetsEndNoFlow: a reset that its receiver does not believe, as it has another
// number than the next one, does not shorten the life of the flow either.
func TestForgedResetsEndNoFlow(t *testing.T) {
	const rst = tcpRST
	for name, forge := range map[string]func(c *connection){
		"of number 0":          func(c *connection) { c.down(rst, 0, 0, 0, 0) },
		"acknowledging":        func(c *connection) { c.down(rst|ack, 0, 1001, 0, 0) },
		"within the window":    func(c *connection) { c.down(rst, 5001+3000, 0, 0, 0) },
		"a little behind":      func(c *connection) { c.down(rst, 5001-3000, 0, 0, 0) },
		"of the client's, too": func(c *connection) { c.up(rst, 1001+3000, 0, 0, 0) },
	} {
		c := newConnection(t)
		c.open()
		c.down(ack, 5001, 1001, 500, 0)
		if forge(c); !c.outlives(idleReset+10, 1001) {
			t.Errorf("%s: the connection is cut", name)
		}
	}
	c := newConnection(t)
	c.open()
	if !c.down(rst, 5001, 0, 0, 0) || c.outlives(idleReset+10, 1001) {
		t.Error("a reset ends nothing")
	}
	c = newConnection(t)
	c.up(syn, 1000, 0, 64000, 0)
	c.down(synAck, 1<<30, 1001, 64000, 0)
	if c.down(rst, 0, 0, 0, 0) || !c.down(rst|ack, 0, 1001, 0, 0) {
		t.Error("a reset of number 0 passes that acknowledges nothing, or none does")
	}
}

// TestForgedResetsOfOldFlows: nor where the beginning was not seen.
func TestForgedResetsOfOldFlows(t *testing.T) {
	c := newConnection(t)
	if !c.up(ack, 1001, 5001, 500, 10) || !c.down(ack, 5001, 1011, 500, 10) {
		t.Fatal("it does not begin")
	}
	if c.down(tcpRST, 77, 0, 0, 0); !c.outlives(idleReset+10, 1011) {
		t.Error("the connection is cut")
	}
}

// TestFastOpenWithoutTheData: a SYN that brought data along is said again without it, and the
// other end acknowledges the first one (RFC 7413 section 4.2.1).
func TestFastOpenWithoutTheData(t *testing.T) {
	c := newConnection(t)
	if !c.up(syn, 1000, 0, 64000, 500, scaled(7)...) || !c.up(syn, 1000, 0, 64000, 0, scaled(7)...) {
		t.Fatal("it does not begin")
	}
	if !c.down(synAck, 5000, 1501, 64000, 0, scaled(7)...) || !c.up(ack, 1501, 5001, 500, 10) || !c.down(ack, 5001, 1511, 500, 10) {
		t.Error("it does not open")
	}
}

// TestSYNAgainWithoutOptions: hosts leave options away when a SYN stays without an answer, and
// the answer may be that of the first one.
func TestSYNAgainWithoutOptions(t *testing.T) {
	c := newConnection(t)
	if !c.up(syn, 1000, 0, 64000, 0, scaled(7)...) || !c.up(syn, 1000, 0, 64000, 0) {
		t.Fatal("it does not begin")
	}
	if !c.down(synAck, 5000, 1001, 64000, 0, scaled(7)...) || !c.up(ack, 1001, 5001, 8192, 0) || !c.down(ack, 5001+500000, 1001, 8192, 1000) {
		t.Error("windows are not shifted")
	}
}

// TestForgedAnswerToALateSYN: a SYN that comes twice is not what lets anybody say where the
// connection is at.
func TestForgedAnswerToALateSYN(t *testing.T) {
	c := newConnection(t)
	c.open()
	c.up(ack, 1001, 5001, 500, 10)
	c.up(syn, 1000, 0, 64000, 0, scaled(7)...) // a duplicate, late
	c.down(ack, 5001, 1001, 500, 0)            // RFC 5961 section 4
	if c.down(synAck, 1<<30, 1<<30, 500, 0) {
		t.Error("a forged answer passes")
	}
	if !c.down(ack, 5001, 1011, 500, 10) || !c.up(ack, 1011, 5011, 500, 10) {
		t.Error("the connection is cut")
	}
}

// echo is an ICMP message with an identifier.
func echo(t *testing.T, from, to string, kind byte, id uint16) *ipkt.Packet {
	t.Helper()
	b := []byte{kind, 0, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(b[4:], id)
	ip, err := ipkt.Parse(frame(netip.MustParseAddr(from), netip.MustParseAddr(to), ipkt.ProtocolICMP, b, 0, 0, false, nil))
	if err != nil {
		t.Fatal(err)
	}
	return &ip
}

// TestQueriesAreNoAnswers: whoever is asked may answer, and not ask, whatever identifier the
// client has chosen.
func TestQueriesAreNoAnswers(t *testing.T) {
	ping := Set{Name: "tenant", Rules: []Rule{{Name: "ping", To: target("10.20.0.0/16"), Ports: []Ports{{Protocol: 1, All: true}}, Allow: true}}}
	for kind, answer := range map[byte]byte{8: 0, 13: 14} {
		for _, id := range []uint16{8, 13, 1000} {
			ann, now := client("10.1.0.7", nil), Now{1, 1}
			f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, ping))
			if !f.Judge(now, ann, nil, echo(t, "10.1.0.7", "10.20.0.5", kind, id)).Allow || !f.Judge(now, nil, ann, echo(t, "10.20.0.5", "10.1.0.7", answer, id)).Allow {
				t.Errorf("type %d of %d does not pass", kind, id)
			}
			for _, asks := range []byte{8, 13} {
				if f.Judge(now, nil, ann, echo(t, "10.20.0.5", "10.1.0.7", asks, id)).Allow {
					t.Errorf("who was asked with type %d of %d asks with type %d", kind, id, asks)
				}
			}
		}
	}
}

// TestRedirectsAreNotPassedOn: a host takes one only from its own router, on its own link
// (RFC 1122 section 3.2.2.2), and source quench from nobody (RFC 6633).
func TestRedirectsAreNotPassedOn(t *testing.T) {
	for kind, want := range map[byte]bool{3: true, 4: false, 5: false, 11: true, 12: true} {
		c := newConnection(t)
		c.open()
		quoted := numbered(t, annWeb, webAnn, ack, 1001, 5001, 500, 0)
		b := frame(quoted.Destination(), quoted.Source(), ipkt.ProtocolICMP, append([]byte{kind, 1, 0, 0, 10, 9, 9, 9}, quoted.Bytes...), 0, 0, false, nil)
		ip, err := ipkt.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.f.Judge(Now{1, 1}, nil, c.ann, &ip); d.Allow != want {
			t.Errorf("type %d: %+v", kind, d)
		}
	}
}

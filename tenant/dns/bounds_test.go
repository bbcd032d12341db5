package dns

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestSharesOfDNS: of 256 connections one client has 16.
func TestSharesOfDNS(t *testing.T) {
	c, err := Config{Resolvers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}}.withDefaults()
	if err != nil || c.Conns != 256 || c.ConnsPerSource != 16 {
		t.Errorf("%d of %d, %v", c.ConnsPerSource, c.Conns, err)
	}
}

// One user has 16 sessions, if he likes, and each its share; others have theirs all the
// same.
func TestManySessionsLeaveRoom(t *testing.T) {
	silent := newResolver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name != "slow.example.com." {
			answering(1)(w, q)
		}
	})
	f := newForwarder(t, func(c *Config) { c.Attempts, c.Timeout = 1, time.Minute }, silent)
	at := serve(t, f)
	query, _ := new(dns.Msg).SetQuestion("slow.example.com.", dns.TypeA).Pack()
	tried := uint64(0)
	for session := range 16 {
		from := net.IPv4(127, byte(2+session), 0, 1)
		udp, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: from}}).Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		for range DefaultPerSource {
			udp.Write(query)
			tried++ // one by one, for none to be lost
			for end := time.Now().Add(10 * time.Second); f.Counters().Queries+f.Counters().Dropped < tried && time.Now().Before(end); {
				time.Sleep(10 * time.Microsecond)
			}
		}
	}
	for session := range 16 {
		for range DefaultConnsPerSource {
			tcp, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(2+session), 0, 1)}}).Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer tcp.Close()
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, network, at, nil); len(got.Answer) != 1 {
			t.Errorf("another client by %s: %v", network, got)
		}
	}
}

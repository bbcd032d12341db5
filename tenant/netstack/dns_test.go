package netstack

import (
	"context"
	"net"
	"net/netip"
	"testing"

	mdns "github.com/miekg/dns"

	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/dns/dnstest"
)

// The gateway answers DNS with what the resolver of the host says.
func TestDNSAtTheGateway(t *testing.T) {
	resolver := newResolver(t)
	f, err := dns.New(dns.Config{Resolvers: []netip.AddrPort{resolver}})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, newDevice(t, func(cfg *Config) { cfg.DNS = f }))
	at := netip.AddrPortFrom(gateway.Addr(), 53)
	for _, network := range []string{"udp", "tcp"} {
		var conn net.Conn = c.dialUDP(at)
		if network == "tcp" {
			if conn, err = c.dialTCP(at); err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		query := new(mdns.Msg).SetQuestion("example.com.", mdns.TypeA)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		answer, _, err := (&mdns.Client{Net: network}).ExchangeWithConnContext(ctx, query, &mdns.Conn{Conn: conn})
		cancel()
		if err != nil || len(answer.Answer) != 1 {
			t.Errorf("%s: %v, %v", network, answer, err)
		}
	}
}

func newResolver(t *testing.T) netip.AddrPort {
	t.Helper()
	pc, ln := dnstest.Listen(t)
	handler := mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		m := new(mdns.Msg).SetReply(q)
		m.Answer = []mdns.RR{&mdns.A{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 1}, A: net.IPv4(192, 0, 2, 1)}}
		w.WriteMsg(m)
	})
	for _, s := range []*mdns.Server{{PacketConn: pc, Handler: handler}, {Listener: ln, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

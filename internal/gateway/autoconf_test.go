package gateway

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const routesConfig = testConfig + `
    domains: [acme.example, lab.acme.example]
    routes: [10.200.0.0/16, 192.168.7.0/24]
`

// catch returns what comes next to the device that is no ICMP for IPv4.
func (d *echoDevice) catch(t *testing.T, send []byte) ipkt.Packet {
	t.Helper()
	caught := make(chan []byte, 16)
	d.mu.Lock()
	d.other = func(pkt []byte) { caught <- pkt }
	d.mu.Unlock()
	d.send(send)
	select {
	case pkt := <-caught:
		ip, err := ipkt.Parse(pkt)
		if err != nil {
			t.Fatal(err)
		}
		return ip
	case <-time.After(5 * time.Second):
		t.Fatal("no answer")
	}
	return ipkt.Packet{}
}

// datagram makes an IPv4 packet with a UDP datagram, without its checksum.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 28, 28+len(payload))
	b[0], b[8], b[9] = 0x45, 64, ipkt.ProtocolUDP
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	copy(b[12:], from.Addr().AsSlice())
	copy(b[16:], to.Addr().AsSlice())
	ipkt.SetHeaderChecksum(b[:20])
	binary.BigEndian.PutUint16(b[20:], from.Port())
	binary.BigEndian.PutUint16(b[22:], to.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(payload)))
	return append(b, payload...)
}

// TestInform: a client asks for routes and domains, of everybody and of the
// gateway, and gets its tenant's.
func TestInform(t *testing.T) { testInform(t, routesConfig) }

// TestIKEv2Inform: Windows asks in the same way where there is no PPP.
func TestIKEv2Inform(t *testing.T) {
	a := newAuthority(t, "a")
	testInform(t, routesConfig+a.server(vpn), a.trusts(vpn), func(d *dialer.DialConfig) { d.Persona = "windows10-ikev2" })
}

func testInform(t *testing.T, yaml string, edits ...func(*dialer.DialConfig)) {
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(edits...)
		ask, err := dhcpv4.NewInform(net.HardwareAddr{2, 0, 0, 0, 0, 1}, conn.Local.AsSlice(),
			dhcpv4.WithRequestedOptions(dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionDomainName, dhcpv4.OptionDomainNameServer))
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"255.255.255.255:67", "10.100.1.1:67"} {
			ip := c.dev.catch(t, datagram(netip.AddrPortFrom(conn.Local, 68), netip.MustParseAddrPort(to), ask.ToBytes()))
			ack, err := dhcpv4.FromBytes(ip.Payload()[8:])
			if err != nil {
				t.Fatal(err)
			}
			if ip.Destination() != conn.Local || ip.Source() != netip.MustParseAddr("10.100.1.1") || ack.MessageType() != dhcpv4.MessageTypeAck {
				t.Errorf("from %v to %v: %s", ip.Source(), ip.Destination(), ack.Summary())
			}
			var routes []string
			for _, r := range ack.ClasslessStaticRoute() {
				routes = append(routes, r.Dest.String())
			}
			if got := strings.Join(routes, " "); got != "10.200.0.0/16 192.168.7.0/24 10.100.1.0/24" {
				t.Error(got)
			}
			if ack.DomainName() != "acme.example" || len(ack.DNS()) != 1 || !ack.DNS()[0].Equal(net.IPv4(10, 100, 1, 1)) {
				t.Error(ack.Summary())
			}
		}
		c.wantPing(conn, "10.200.0.2")
	})
}

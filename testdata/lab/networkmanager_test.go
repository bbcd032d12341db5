package lab

import "testing"

// nmConnection is a connection as NetworkManager keeps it.
func nmConnection(name, service, password string, keys ...string) string {
	return lines("[connection]", "id="+name, "uuid=5d3c5b0e-1d1c-4b77-9f3d-0000000000"+map[string]string{"l2tp": "01", "eap": "02"}[name],
		"type=vpn", "autoconnect=false", "[vpn]", "service-type=org.freedesktop.NetworkManager."+service, "user=alice", "password-flags=0") +
		lines(keys...) + lines("[vpn-secrets]", "password="+password, "[ipv4]", "method=auto", "[ipv6]", "method=disabled")
}

// networkManager dials with NetworkManager's two plug-ins and their defaults: L2TP with strongSwan
// and xl2tpd behind it, and IKEv2 with charon-nm.
func networkManager(t *testing.T, m *matrix) {
	_, _, c, dir := interop(t)
	const where = "NetworkManager/system-connections/"
	c.put(map[string]string{
		"NetworkManager/NetworkManager.conf": "[main]\nplugins=keyfile\nauth-polkit=false\n",
		"ca.crt":                             content(t, dir, "ca.crt"),
		where + "l2tp.nmconnection":          nmConnection("l2tp", "l2tp", "alicepw", "gateway="+gatewayAddr, "ipsec-enabled=yes", "ipsec-psk="+labPSK),
		where + "eap.nmconnection": nmConnection("eap", "strongswan", "alicepw", "address="+gatewayAddr, "certificate=/etc/ca.crt",
			"method=eap", "virtual=yes", "remote-identity="+vpnName),
	})
	c.tell(t, "tail -80 /tmp/nm.log; ip route; ip -o -4 addr")
	c.must(dialTime, "sh /lab/guest/networkmanager")
	for _, x := range []struct{ name, peer string }{{"l2tp", "NetworkManager-l2tp"}, {"eap", "NetworkManager-strongswan"}} {
		// NetworkManager gives a plug-in five seconds to start, which a busy machine may need more than
		// once, and says that a connection is down before what it had started is.
		down := "nmcli connection down " + x.name + " > /dev/null 2>&1; . /lab/guest/wait; gone() { ! pgrep 'xl2tpd|pppd' && ! pgrep starter; }; wait_for 8 gone; true"
		up := "(for try in 1 2 3 4 5; do timeout 60 nmcli connection up " + x.name + " > /tmp/up.log 2>&1 && exit; " + down + "; done; cat /tmp/up.log; false)"
		m.try(t, c, x.peer, "defaults", func(t *testing.T) string {
			must(t, c, 3*dialTime, up)
			return carries(t, c, x.peer)
		})
		m.try(t, c, x.peer, "address over redial", func(t *testing.T) string {
			defer c.run(dialTime, down)
			return keeps(t, c, down, up)
		})
	}
}

// vpnc dials by XAUTH with a group's key. Keys that the server renews are nothing to it: its own fault.
func vpnc(t *testing.T, m *matrix) {
	_, _, c, _ := interop(t)
	conf := func(more ...string) string {
		return lines("IPSec gateway "+gatewayAddr, "IPSec ID staff", "IPSec secret "+labPSK, "Xauth username alice", "Xauth password alicepw",
			"IKE DH Group dh14", "Pidfile /run/vpnc.pid") + lines(more...)
	}
	c.put(map[string]string{"vpnc/natt.conf": conf("NAT Traversal Mode natt"), "vpnc/force.conf": conf("NAT Traversal Mode force-natt")})
	c.must(dialTime, "cp -rp /lab/etc/. /etc/ && mkdir -p /var/run")
	const down = "vpnc-disconnect > /dev/null; . /lab/guest/wait; gone() { ! pgrep -x vpnc; }; wait_for 5 gone; . /lab/env; ip route replace default via $GATEWAY"
	for _, name := range []string{"natt", "force"} {
		m.try(t, c, "vpnc", "XAUTH, "+name, func(t *testing.T) string {
			defer c.run(dialTime, down)
			must(t, c, dialTime, "vpnc /etc/vpnc/"+name+".conf > /tmp/vpnc.log 2>&1 || { cat /tmp/vpnc.log; false; }")
			return carries(t, c, "vpnc-"+name)
		})
	}
	m.try(t, c, "vpnc", "address over redial", func(t *testing.T) string {
		must(t, c, dialTime, "vpnc /etc/vpnc/natt.conf > /dev/null")
		return keeps(t, c, down, "vpnc /etc/vpnc/natt.conf > /dev/null")
	})
}

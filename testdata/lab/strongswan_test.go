package lab

import (
	"fmt"
	"testing"
	"time"
)

// swanctlConf is how swanctl has strongSwan dial with a name and password.
const swanctlConf = `connections {
  childless {
    version = 2
    remote_addrs = ` + gatewayAddr + `
    vips = 0.0.0.0
    childless = force
    local { 
      auth = eap-mschapv2
      eap_id = alice
    }
    remote {
      auth = pubkey
      id = ` + vpnName + `
    }
    children { childless { remote_ts = ` + sitePrefix + ` } }
  }
}
secrets {
  eap-alice {
    id = alice
    secret = alicepw
  }
}
`

// strongSwanOptions are ways of strongSwan that are not its defaults.
func strongSwanOptions(t *testing.T, m *matrix) {
	_, _, c, dir := interop(t)
	const name = "strongSwan"
	c.tellOnFailure(t)
	c.put(map[string]string{"swanctl/swanctl.conf": swanctlConf, "swanctl/x509ca/ca.crt": content(t, dir, "ca.crt")})
	brief := []string{"reauth=yes", "ikelifetime=18s", "margintime=8s", "rekeyfuzz=0%", "lifetime=1h"}
	c.configure(credentials(dir), byEAP.as("eap", brief...), byCertificate.as("certificate", brief...))
	c.must(10*time.Second, "sed -i 's/^charon {/& make_before_break = yes/' /etc/strongswan.conf")
	for _, auth := range []string{"eap", "certificate"} {
		m.try(t, c, name, "reauthentication beside the old SA, "+auth, func(t *testing.T) string {
			defer c.must(dialTime, `
				. /lab/guest/wait # for both SAs, if it is just authenticating anew
				gone() { ipsec down `+auth+`; ! ip -o -4 addr | grep -q ' 10\.100\.'; }
				wait_for 10 gone`)
			if err := c.tunnel(auth); err != nil {
				t.Fatal(err)
			}
			return c.keepsConnection(t, auth)
		})
	}
	m.try(t, c, name, "childless IKE_AUTH", func(t *testing.T) string {
		defer c.run(dialTime, "swanctl --terminate --ike childless > /dev/null")
		must(t, c, dialTime, "swanctl --load-all > /tmp/load.log 2>&1 && swanctl --initiate --child childless > /tmp/up.log 2>&1 || { cat /tmp/load.log /tmp/up.log; false; }")
		return carries(t, c, "childless")
	})
}

// keepsConnection has a file come slowly over one TCP connection while the client authenticates anew
// some times, and demands that it comes whole, that no ping is lost and that the address stays.
func (c *client) keepsConnection(t *testing.T, conn string) string {
	t.Helper()
	first := c.inner()
	before := c.count("IKE_SA " + conn + ".* established between")
	out := must(t, c, 2*time.Minute, fmt.Sprintf(`
		curl -sS -f --limit-rate 500k 'http://%[1]s/file?bytes=%[2]d' > /tmp/down 2> /tmp/down.log &
		ping -q -i 0.2 -c 200 -W 10 %[1]s; wait; cat /tmp/down.log`, siteAddr, interopFile))
	if second := c.inner(); second != first {
		t.Errorf("the address was %s, and is %s", first, second)
	}
	wantSame(t, conn, must(t, c, time.Minute, fmt.Sprintf("sha256sum < /tmp/down | cut -d' ' -f1; curl -sS -f 'http://%s/sum?bytes=%d'", siteAddr, interopFile)))
	m := pinged.FindStringSubmatch(out)
	if m == nil || m[1] != m[2] {
		t.Errorf("packets were lost: %s", out)
	}
	times := c.count("IKE_SA "+conn+".* established between") - before
	if times < 2 {
		t.Errorf("authenticated anew %d times only", times)
	}
	return fmt.Sprintf("%s all the time, %d times anew, one TCP connection", first, times)
}

// Two machines of one user behind one NAT, each of which says at its first dial that it has no other
// connection, are both there as long as they want: by name and password, and with one certificate.
func TestTwoDevicesOfOneUserBehindOneNAT(t *testing.T) {
	t.Parallel()
	for _, way := range []tunnel{byEAP, byCertificate} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.startSite(t)
			dir := authority(t)
			s := n.serve(t, certified(dir))
			list := []*client{n.boot(t, behindNAT, 2), n.boot(t, behindNAT, 3)}
			for _, c := range list {
				c.tellOnFailure(t)
				c.mustTunnel(way, dir)
				c.must(10*time.Second, "ping -q -i 0.5 -c 120 -W 10 "+siteAddr+" > /tmp/ping.out 2>&1 &")
			}
			if a, b := list[0].inner(), list[1].inner(); a == b {
				t.Errorf("both have %s", a)
			}
			for _, c := range list {
				c.must(2*time.Minute, ". /lab/guest/wait; pinged() { ! pgrep -x ping; }; wait_for 100 pinged")
				out := c.must(10*time.Second, "cat /tmp/ping.out")
				if m := pinged.FindStringSubmatch(out); m == nil || m[1] != m[2] {
					t.Errorf("%s lost packets: %s", c.name, out)
				}
				if c.count("IKE_SA lab.* established between") != 1 {
					t.Errorf("%s dialled again", c.name)
				}
			}
			if got := len(s.sessions(t)); got != 2 {
				t.Errorf("%d sessions, want 2", got)
			}
		})
	}
}

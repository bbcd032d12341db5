package bench

import (
	"context"
	"net/netip"
	"os"
	"strings"
)

// The files of Debian's packages.
const (
	softEtherServer = "/usr/libexec/softether/vpnserver"
	softEtherTool   = "/usr/libexec/softether/vpncmd"
)

// softEtherScript runs the server with directories for its state that nobody
// else sees and that vanish with it.
const softEtherScript = `
for dir in /run /var/lib /var/log; do mount -t tmpfs none $dir && mkdir $dir/softether; done
exec ` + softEtherServer + `/vpnserver execsvc`

// softEtherSuite is the best that SoftEther has: no GCM, no SHA-2.
const softEtherSuite = "aes256-sha1"

func checkSoftEther() error {
	for _, path := range []string{softEtherServer + "/vpnserver", softEtherTool + "/vpncmd"} {
		if _, err := os.Stat(path); err != nil {
			return missing("SoftEther: apt install softether-vpnserver softether-vpncmd")
		}
	}
	return checkTUN()
}

// The inside of SoftEther's tunnels, where its hub ends in a device of the host.
const (
	softEtherNetwork = "10.130.0.0/16"
	softEtherHost    = "10.130.0.1"
	softEtherDevice  = "tap_bench"
)

// softEtherWay is SoftEther's server, dialled by culvert. egress tun is a bridge
// from its hub to a TAP device, which is its fastest: the kernel ends TCP there,
// as it does behind culvert's TUN device. Egress netstack is its SecureNAT, which
// ends TCP in user space, as culvert's netstack does.
func softEtherWay(egress string, clients int) way {
	w := way{
		name: "softether-" + egress, title: "SoftEther " + softEtherSuite + " " + egress,
		missing: checkSoftEther, target: netip.MustParseAddr(softEtherHost),
	}
	call := caller{
		user: benchUser, ike: softEtherSuite + "-modp2048", esp: softEtherSuite, route: softEtherNetwork, clients: clients,
	}
	if egress == "netstack" {
		w.target, w.behind, call.route = behindAddr(), true, behindNetwork
	}
	w.start = func(ctx context.Context, r *road) error {
		call.secret = newSecret()[:9] // longer keys are not for every client, it says
		if err := r.softEther(ctx, call.secret, egress); err != nil {
			return err
		}
		return r.dialIn(ctx, call)
	}
	return w.many(clients)
}

// softEther starts the server and tells it what to do.
func (r *road) softEther(ctx context.Context, secret, egress string) error {
	p, err := r.start(r.server, "SoftEther", "unshare", "--mount", "--propagation", "private", "sh", "-ec", softEtherScript)
	if err != nil {
		return err
	}
	r.later(p.kill) // it takes its time to write down what nobody wants
	r.serving = p
	limit, cancel := patient(ctx)
	defer cancel()
	if err := p.wantPort(limit, "tcp", 5555); err != nil {
		return err
	}
	if err := r.softEtherSetup(limit, softEtherCommands(secret, egress)); err != nil {
		return err
	}
	if egress == "tun" {
		// It makes the device when it finds the time.
		err := p.poll(limit, "makes no device "+softEtherDevice, func() bool {
			return r.server.do(func() error { return raise(softEtherDevice) }) == nil
		})
		if err != nil {
			return err
		}
		host := netip.PrefixFrom(netip.MustParseAddr(softEtherHost), netip.MustParsePrefix(softEtherNetwork).Bits())
		if err := r.server.do(func() error { return address(softEtherDevice, host) }); err != nil {
			return err
		}
	}
	return p.wantUDP(limit, 4500)
}

// softEtherCommands make a user, a network and L2TP/IPsec. Nothing is written
// about packets, which costs time.
func softEtherCommands(secret, egress string) string {
	commands := []string{
		"IPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:no /PSK:" + secret + " /DEFAULTHUB:DEFAULT",
		"Hub DEFAULT",
		"LogDisable packet",
		"LogDisable security",
		"UserCreate " + benchUser + " /GROUP:none /REALNAME:none /NOTE:none",
		"UserPasswordSet " + benchUser + " /PASSWORD:" + secret,
	}
	if egress == "tun" {
		// Clients get their addresses by DHCP within the hub, so its DHCP server runs,
		// and its NAT does not.
		commands = append(commands,
			"DhcpSet /START:10.130.0.10 /END:10.130.3.254 /MASK:255.255.0.0 /EXPIRE:7200 /GW:"+softEtherHost+" /DNS:none /DNS2:none /DOMAIN:none /LOG:no",
			"SecureNatHostSet /MAC:none /IP:10.130.0.2 /MASK:255.255.0.0",
			"SecureNatEnable", "NatDisable",
			"BridgeCreate DEFAULT /DEVICE:"+strings.TrimPrefix(softEtherDevice, "tap_")+" /TAP:yes",
		)
	} else {
		commands = append(commands, "SecureNatEnable")
	}
	return strings.Join(append(commands, ""), "\n")
}

func (r *road) softEtherSetup(ctx context.Context, commands string) error {
	path, err := r.write("softether-setup", commands)
	if err != nil {
		return err
	}
	p, err := r.start(r.server, "vpncmd", softEtherTool+"/vpncmd", "127.0.0.1:5555", "/SERVER", "/IN:"+path)
	if err != nil {
		return err
	}
	out, err := p.result(ctx)
	if err == nil && strings.Contains(out, "Error occurred") {
		return p.fault("did not do all it was told")
	}
	return err
}

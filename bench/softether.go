package bench

import (
	"context"
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

// softEtherWay is SoftEther's server, dialled by culvert. What leaves it goes
// through its SecureNAT, which is its user space network stack.
func softEtherWay() way {
	return way{
		name: "softether", title: "SoftEther " + softEtherSuite, missing: checkSoftEther, target: behindAddr(), behind: true,
		start: func(ctx context.Context, r *road) error {
			secret := newSecret()[:9] // longer keys are not for every client, it says
			if err := r.softEther(ctx, secret); err != nil {
				return err
			}
			return r.connect(ctx, caller{
				secret: secret, user: benchUser, ike: softEtherSuite + "-modp2048", esp: softEtherSuite,
				route: "198.18.1.0/30", device: "bench-connect",
			})
		},
	}
}

// softEther starts the server and tells it what to do.
func (r *road) softEther(ctx context.Context, secret string) error {
	p, err := r.start(r.server, "SoftEther", "unshare", "--mount", "--propagation", "private", "sh", "-ec", softEtherScript)
	if err != nil {
		return err
	}
	limit, cancel := patient(ctx)
	defer cancel()
	if err := p.wantPort(limit, "tcp", 5555); err != nil {
		return err
	}
	if err := r.softEtherSetup(limit, secret); err != nil {
		return err
	}
	return p.wantUDP(limit, 4500)
}

// softEtherCommands make a user, a network and L2TP/IPsec.
func softEtherCommands(secret string) string {
	return strings.Join([]string{
		"IPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:no /PSK:" + secret + " /DEFAULTHUB:DEFAULT",
		"Hub DEFAULT",
		"UserCreate " + benchUser + " /GROUP:none /REALNAME:none /NOTE:none",
		"UserPasswordSet " + benchUser + " /PASSWORD:" + secret,
		"SecureNatEnable",
		"",
	}, "\n")
}

func (r *road) softEtherSetup(ctx context.Context, secret string) error {
	path, err := r.write("softether-setup", softEtherCommands(secret))
	if err != nil {
		return err
	}
	p, err := r.start(r.server, "vpncmd", softEtherTool+"/vpncmd", "127.0.0.1:5555", "/SERVER", "/IN:"+path)
	if err != nil {
		return err
	}
	_, err = p.result(ctx)
	return err
}

package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// The files of Debian's packages.
const (
	charonProgram  = "/usr/lib/ipsec/charon"
	charonLibIPsec = "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so"
	charonOpenSSL  = "/usr/lib/ipsec/plugins/libstrongswan-openssl.so"
	swanctlProgram = "/usr/sbin/swanctl"
)

// The inside of a strongSwan tunnel.
const (
	strongSwanClient = "10.131.0.2"
	strongSwanServer = "10.131.0.1"
)

func checkStrongSwan() error {
	for _, path := range []string{charonProgram, charonLibIPsec, charonOpenSSL, swanctlProgram} {
		if _, err := os.Stat(path); err != nil {
			return missing("strongSwan: apt install strongswan-charon strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins")
		}
	}
	return checkTUN()
}

// strongSwanWay is strongSwan at both ends with its ESP in user space, the
// plugin kernel-libipsec, in tunnel mode by IKEv2.
func strongSwanWay(suite string) way {
	return way{
		name: "strongswan-" + suite, title: "strongSwan " + suite + " libipsec",
		missing: checkStrongSwan, target: netip.MustParseAddr(strongSwanServer),
		start: func(ctx context.Context, r *road) error {
			secret := newSecret()
			a := swanEnd{name: "server", ns: r.server, secret: secret, suite: suite, local: serverAddr(), remote: clientAddr(), inner: strongSwanServer, peer: strongSwanClient}
			b := swanEnd{name: "client", ns: r.client, secret: secret, suite: suite, local: clientAddr(), remote: serverAddr(), inner: strongSwanClient, peer: strongSwanServer}
			for _, end := range []swanEnd{a, b} {
				if err := r.swan(ctx, end); err != nil {
					return err
				}
			}
			return r.swanctl(ctx, b, "--initiate", "--child", "bench", "--timeout", "20")
		},
	}
}

// swanEnd is one strongSwan.
type swanEnd struct {
	name          string
	ns            *namespace
	secret, suite string
	local, remote netip.Addr
	inner, peer   string
}

// conf is its strongswan.conf: the plugins that it takes, OpenSSL's ciphers
// first, which are its fastest.
func (e swanEnd) conf(dir string) string {
	return fmt.Sprintf(`charon {
  load_modular = no
  load = openssl random nonce aes sha1 sha2 hmac gcm kdf kernel-libipsec kernel-netlink socket-default vici
  plugins { vici { socket = unix://%s/%s.vici } }
  filelog { stderr { default = 0 } }
}
swanctl { load = random openssl }
`, dir, e.name)
}

// connection is its swanctl.conf.
func (e swanEnd) connection() string {
	return fmt.Sprintf(`connections { bench {
  version = 2
  local_addrs = %s
  remote_addrs = %s
  encap = yes
  proposals = aes256-sha256-ecp256
  local { auth = psk
    id = %s }
  remote { auth = psk
    id = %s }
  children { bench {
    local_ts = %s/32
    remote_ts = %s/32
    esp_proposals = %s
  } }
} }
secrets { ike { secret = "%s" } }
`, e.local, e.remote, e.local, e.remote, e.inner, e.peer, e.suite, e.secret)
}

// swan starts one end and tells it what to do.
func (r *road) swan(ctx context.Context, e swanEnd) error {
	conf, err := r.write(e.name+".conf", e.conf(r.dir))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.dir, e.name), 0o700); err != nil {
		return failed("%w", err)
	}
	if _, err := r.write(e.name+"/swanctl.conf", e.connection()); err != nil {
		return err
	}
	inner := netip.PrefixFrom(netip.MustParseAddr(e.inner), 32)
	if err := e.ns.do(func() error { return address("lo", inner) }); err != nil {
		return err
	}
	// It keeps its process ID in /run, which shall be its own.
	p, err := r.start(e.ns, "strongSwan "+e.name, "unshare", "--mount", "--propagation", "private", "sh", "-ec",
		"mount -t tmpfs none /run; export STRONGSWAN_CONF="+conf+"; exec "+charonProgram)
	if err != nil {
		return err
	}
	if e.ns == r.server {
		r.serving = p
	}
	limit, cancel := patient(ctx)
	defer cancel()
	err = p.poll(limit, "takes no commands", func() bool {
		_, err := os.Stat(filepath.Join(r.dir, e.name+".vici"))
		return err == nil
	})
	if err != nil {
		return err
	}
	return r.swanctl(ctx, e, "--load-all")
}

// swanctl has a command carried out by one end.
func (r *road) swanctl(ctx context.Context, e swanEnd, args ...string) error {
	limit, cancel := patient(ctx)
	defer cancel()
	argv := []string{"env", "STRONGSWAN_CONF=" + filepath.Join(r.dir, e.name+".conf"), "SWANCTL_DIR=" + filepath.Join(r.dir, e.name), swanctlProgram}
	argv = append(append(argv, args...), "--uri", "unix://"+filepath.Join(r.dir, e.name+".vici"))
	p, err := r.start(e.ns, "swanctl", argv...)
	if err == nil {
		_, err = p.result(limit)
	}
	return err
}

package bench

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// The inside of a WireGuard tunnel.
func wireGuardClient() netip.Addr { return netip.AddrFrom4([4]byte{10, 129, 0, 2}) }
func wireGuardServer() netip.Addr { return netip.AddrFrom4([4]byte{10, 129, 0, 1}) }

// wireGuardMTU is what wireguard-go and wg-quick take by default.
const wireGuardMTU = 1420

// wireGuardWay is wireguard-go at both ends, each in a process of its own.
func wireGuardWay() way {
	return way{
		name: "wireguard-go", title: "wireguard-go", missing: checkTUN, target: wireGuardServer(),
		start: func(ctx context.Context, r *road) error {
			a, err := newWireGuardKey()
			if err != nil {
				return err
			}
			b, err := newWireGuardKey()
			if err != nil {
				return err
			}
			if err := r.wireGuard(ctx, r.server, "server", a, b, wireGuardServer(), clientAddr()); err != nil {
				return err
			}
			return r.wireGuard(ctx, r.client, "client", b, a, wireGuardClient(), serverAddr())
		},
	}
}

func newWireGuardKey() (*ecdh.PrivateKey, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, failed("%w", err)
	}
	return k, nil
}

// wireGuardPort is where both ends listen.
const wireGuardPort = 51820

// wireGuard starts one end in a namespace.
func (r *road) wireGuard(ctx context.Context, ns *namespace, name string, own, peer *ecdh.PrivateKey, inner, remote netip.Addr) error {
	uapi := fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%s:%d\nallowed_ip=10.129.0.0/24\n",
		hex.EncodeToString(own.Bytes()), wireGuardPort, hex.EncodeToString(peer.PublicKey().Bytes()), remote, wireGuardPort)
	path, err := r.write("wireguard-"+name, uapi)
	if err != nil {
		return err
	}
	p, err := r.start(ns, "wireguard-go", r.program, "bench", WireGuardCommand, "--config", path, "--address", inner.String())
	if err != nil {
		return err
	}
	if ns == r.server {
		r.serving = p
	}
	limit, cancel := patient(ctx)
	defer cancel()
	_, err = p.wantLine(limit, "ready")
	return err
}

// RunWireGuard is one end of a WireGuard tunnel, until ctx is done: the
// packages of wireguard-go as its own program joins them, in our binary so that
// nothing has to be installed. config is in the form of its UAPI.
func RunWireGuard(ctx context.Context, config string, inner netip.Addr, out io.Writer) error {
	const name = "bench-wg"
	t, err := tun.CreateTUN(name, wireGuardMTU)
	if err != nil {
		return missing("TUN devices: %v", err)
	}
	d := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wireguard-go: "))
	defer d.Close()
	if err := d.IpcSetOperation(strings.NewReader(config)); err != nil {
		return failed("wireguard-go: %w", err)
	}
	if err := d.Up(); err != nil {
		return failed("wireguard-go: %w", err)
	}
	if err := address(name, netip.PrefixFrom(inner, 24)); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	<-ctx.Done()
	return nil
}

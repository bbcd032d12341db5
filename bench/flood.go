package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

// FloodCommand is the hidden sub-command of bench that RunFlood serves.
const FloodCommand = "flood"

// FloodJob is clients that seal UDP packets beforehand, so that they can send
// them several times as fast as a server opens them, and take turns. They are busy
// at every rate: while nothing is due to the server, they send packets through a
// device that drops them.
type FloodJob struct {
	Dials
	To   netip.AddrPort
	Size int     // of IP packets, in bytes
	Rate float64 // packets a second to the server
	// Warmup is not counted, Duration is.
	Warmup, Duration time.Duration
}

const (
	// asideDevice is the device that drops.
	asideDevice = "bench-aside"
	// floodSpare is how much longer packets last than is counted.
	floodSpare = 200 * time.Millisecond
	// floodRoom is how much memory packets may take, in bytes.
	floodRoom = 4 << 30
	// lateBursts is how many bursts are made up for, one behind the other, when
	// the client was set aside for a while.
	lateBursts = 16
)

// asideNetwork is the network of that device.
func asideNetwork() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, 255, 1}), 30)
}

// RunFlood dials in, seals, sends, and writes what was sent to the server in the
// time that counts, as a line of JSON. It goes on until ctx is done, or all is
// sent.
func RunFlood(ctx context.Context, j FloodJob, out io.Writer) error {
	suites, err := dialer.ParseSuites(nil, named(j.ESP))
	if err != nil || j.Size < udpOverhead || j.Rate <= 0 || j.Clients < 1 {
		return badOption("flood: %v", err)
	}
	// Nobody reads this device: its queue is full soon.
	drop, err := tun.New(tun.Config{Name: asideDevice, Addresses: []netip.Prefix{asideNetwork()}, MTU: 2 * maxForwardSize})
	if err != nil {
		return failed("%w", err)
	}
	defer drop.Close()
	f := &flood{job: j}
	g, err := dialer.New(dialer.Config{Addresses: []netip.Addr{netip.IPv4Unspecified()}, Listen: f.listen})
	if err != nil {
		return failed("%w", err)
	}
	defer runInBackground(ctx, g)()
	for i := range j.Clients {
		c := &floodClient{feed: newFeed(), local: following(j.First, i)}
		f.clients = append(f.clients, c)
		if err := f.dial(ctx, g, c, suites); err != nil {
			return err
		}
	}
	for _, c := range f.clients {
		if err := f.seal(c); err != nil {
			return err
		}
	}
	var sending sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer sending.Wait()
	defer stop()
	background(&sending, func() { f.send(ctx) })
	t, err := f.count(ctx)
	if err != nil {
		return err
	}
	err = json.NewEncoder(out).Encode(t)
	<-ctx.Done()
	return err
}

// flood is the clients, and the sockets that their packets leave through.
type flood struct {
	job     FloodJob
	clients []*floodClient
	keeping atomic.Pointer[floodClient] // whose packets are kept and not sent; nil: nobody's
	conn    udp.Conn                    // that they leave through
	sent    atomic.Uint64
}

// floodClient is one client and its packets.
type floodClient struct {
	feed    *feed
	inner   netip.Addr
	local   netip.Addr
	remote  netip.AddrPort
	packets []byte // sealed, one behind the other, each as long
	length  int    // of one, in bytes
	sent    int
}

// dial has a client dial in.
func (f *flood) dial(ctx context.Context, g *dialer.Dialer, c *floodClient, suites dialer.Suites) error {
	limit, cancel := patient(ctx)
	defer cancel()
	conn, err := g.Dial(limit, dialer.DialConfig{
		Server:     netip.AddrPortFrom(f.job.Server, config.DefaultPortIKE),
		ServerNATT: netip.AddrPortFrom(f.job.Server, config.DefaultPortNATT),
		Local:      c.local, PSK: []byte(f.job.Secret), User: f.job.User, Password: f.job.Secret, Suites: suites,
		Device: func(dialer.Assigned) (tenant.Device, error) { return c.feed, nil },
	})
	if err != nil {
		return failed("flood: %w", err)
	}
	c.inner = conn.Local
	return nil
}

// seal makes the packets of a client and keeps them.
func (f *flood) seal(c *floodClient) error {
	j := f.job
	count := int(j.Rate*(j.Warmup+j.Duration+floodSpare).Seconds())/j.Clients + burstSize
	room := count * (j.Size + tenant.Headroom)
	if room*j.Clients > floodRoom {
		return failed("%d packets are too many to be sealed beforehand: measure for a shorter time", count*j.Clients)
	}
	c.packets = make([]byte, 0, room)
	f.keeping.Store(c)
	defer f.keeping.Store(nil)
	c.feed.make(&order{headers: [][]byte{floodPacket(c.inner, j.To, j.Size)}, size: j.Size, count: count, burst: burstSize})
	if len(c.packets) == 0 {
		return failed("flood: nothing was sealed")
	}
	return nil
}

// commit hands the next burst of a client to a writer; false: it has none left.
func (c *floodClient) commit(w udp.Writer, remote netip.AddrPort, local netip.Addr) bool {
	begin, end := c.sent*c.length, (c.sent+burstSize)*c.length
	if end > len(c.packets) {
		return false
	}
	for ; begin < end; begin += c.length {
		w.Commit(c.packets[begin:begin+c.length], remote, local)
	}
	return true
}

// floodPacket is a UDP packet of zeros, with "don't fragment" and a checksum as
// a client's kernel makes it.
func floodPacket(from netip.Addr, to netip.AddrPort, size int) []byte {
	b := append(udpHeader(from, to.Addr(), size), make([]byte, size-udpOverhead)...)
	b[6] = 0x40
	ipkt.SetHeaderChecksum(b[:20])
	b[22], b[23] = byte(to.Port()>>8), byte(to.Port())
	ip := ipkt.Packet{Bytes: b, HeaderLen: 20, Protocol: ipkt.ProtocolUDP}
	sum := ^ipkt.Checksum(b[20:], ip.PseudoChecksum(size-20))
	b[26], b[27] = byte(sum>>8), byte(sum)
	return b
}

// send sends bursts, of each client in turn and to where they are due. It ends
// when ctx is done, or all is sent.
func (f *flood) send(ctx context.Context) {
	w := f.conn.NewWriter(burstSize)
	aside := netip.AddrPortFrom(asideNetwork().Addr().Next(), f.clients[0].remote.Port())
	for began, sent, late := time.Now(), 0, 0; ctx.Err() == nil; {
		c := f.clients[sent/burstSize%len(f.clients)]
		due := int(time.Since(began).Seconds()*f.job.Rate) - late - sent
		if behind := due - lateBursts*burstSize; behind > 0 {
			late += behind
		}
		if due < burstSize {
			c.commit(w, aside, asideNetwork().Addr())
			w.Flush()
			continue
		}
		if !c.commit(w, c.remote, c.local) {
			return
		}
		w.Flush()
		c.sent += burstSize
		sent += burstSize
		f.sent.Store(uint64(sent))
	}
}

// count returns what was sent to the server in the time that counts.
func (f *flood) count(ctx context.Context) (transfer, error) {
	pause(ctx, f.job.Warmup)
	began, before := time.Now(), f.sent.Load()
	err := pause(ctx, f.job.Duration)
	return transfer{Packets: f.sent.Load() - before, Seconds: time.Since(began).Seconds()}, err
}

// listen opens a socket whose writers keep the packets of the flood.
func (f *flood) listen(c udp.Config) (udp.Conn, error) {
	conn, err := udp.Listen(c)
	if err != nil {
		return nil, err
	}
	return floodConn{conn, f}, nil
}

type floodConn struct {
	udp.Conn
	flood *flood
}

// NewWriter implements udp.Conn.
func (c floodConn) NewWriter(batch int) udp.Writer {
	return floodWriter{c.Conn.NewWriter(batch), c}
}

type floodWriter struct {
	udp.Writer
	conn floodConn
}

// Commit implements udp.Writer. What is shorter than the packets of the flood is
// control traffic.
func (w floodWriter) Commit(data []byte, remote netip.AddrPort, local netip.Addr) {
	f := w.conn.flood
	c := f.keeping.Load()
	if len(data) < f.job.Size || c == nil {
		w.Writer.Commit(data, remote, local)
		return
	}
	c.packets = append(c.packets, data...)
	c.length, c.remote, f.conn = len(data), remote, w.conn.Conn
}

// arguments are the flags that make the same job of it.
func (j FloodJob) arguments(secret string) []string {
	return append(j.Dials.arguments(secret),
		"--to", j.To.String(), "--size", fmt.Sprint(j.Size), "--rate", fmt.Sprint(j.Rate),
		"--warmup", j.Warmup.String(), "--duration", j.Duration.String(),
	)
}

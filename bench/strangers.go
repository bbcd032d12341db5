package bench

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	ikewire "github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// StrangersCommand is the hidden sub-command of bench that Strangers serves.
const StrangersCommand = "strangers"

// StrangersConfig says how strangers flood a server beside those who dial in.
type StrangersConfig struct {
	Target
	Rate  int // first messages a second; 0: 20000
	Dials int // with the flood, and as many without; 0: 20
}

// strangerSockets is how many addresses the flood comes from.
const strangerSockets = 30

func (c StrangersConfig) withDefaults() (StrangersConfig, error) {
	if c.Rate == 0 {
		c.Rate = 20_000
	}
	if c.Dials == 0 {
		c.Dials = 20
	}
	if c.Rate < 1 || c.Rate > 1_000_000 || c.Dials < 1 {
		return c, badOption("%d messages a second, %d dials", c.Rate, c.Dials)
	}
	return c, c.check()
}

// Strangers measures how long it takes to dial in beside a flood of offers that nobody
// takes.
func Strangers(ctx context.Context, c StrangersConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "strangers", Title: "Dial-ins beside a flood of offers",
		About: "Clients dial in one after the other, first alone and then beside strangers who send first messages of main mode in which nothing is acceptable, each as another exchange.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	site, server, fleet, err := together(ctx, c.Target)
	if err != nil {
		return s, err
	}
	defer site.close()
	if err := c.dials(ctx, &s, "alone", fleet, 0, p); err != nil {
		return s, err
	}
	f, err := newStrangers(fleet.server, c.Rate)
	if err != nil {
		return s, err
	}
	used, began := server.cpu(), time.Now()
	var running sync.WaitGroup
	flooding, stop := context.WithCancel(ctx)
	background(&running, func() { f.run(flooding) })
	err = c.dials(ctx, &s, "beside the flood", fleet, c.Dials, p)
	stop()
	running.Wait()
	took := time.Since(began).Seconds()
	s.add("offers a second", Count, float64(f.sent.Load())/took)
	s.add("CPU of the server", Share, (server.cpu()-used).Seconds()/took)
	s.atMost("slowest dial-in beside the flood", 0.3)
	return s, err
}

// dials has clients dial in, from the i-th on, and hang up.
func (c StrangersConfig) dials(ctx context.Context, s *Section, how string, f *fleet, i int, p *Progress) error {
	suites, err := suitesFor("ecp256")
	if err != nil {
		return err
	}
	var all []float64
	lost := 0
	for n := range c.Dials {
		took, err := f.dialOnce(ctx, i+n, suites)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if all = append(all, took.Seconds()); err != nil {
			lost++
			p.Say("strangers: a dial-in %s failed: %v", how, err)
		}
	}
	s.add("dial-ins "+how, Seconds, all...)
	s.add("slowest dial-in "+how, Seconds, Quantile(all, 1))
	s.add("failed "+how, Count, float64(lost))
	p.Say("strangers: a dial-in %s takes %s, the slowest %s", how, Seconds.Format(Quantile(all, 0.5)), Seconds.Format(Quantile(all, 1)))
	return nil
}

// dialOnce has the i-th client dial in and hang up, and says how long it took to be in.
func (f *fleet) dialOnce(ctx context.Context, i int, suites dialer.Suites) (time.Duration, error) {
	limit, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	began := time.Now()
	conn, err := f.dial(limit, i, suites)
	took := time.Since(began)
	if err == nil {
		conn.hangUp(ctx)
	}
	return took, err
}

// strangers send first messages that nobody takes.
type strangers struct {
	conns []*net.UDPConn
	msg   []byte
	rate  int
	sent  atomic.Int64
}

func newStrangers(server netip.AddrPort, rate int) (*strangers, error) {
	f := &strangers{msg: unacceptable(), rate: rate}
	for i := range strangerSockets {
		var local *net.UDPAddr
		if server.Addr().IsLoopback() && server.Addr().Is4() {
			local = &net.UDPAddr{IP: net.IPv4(127, 99, 0, byte(10+i))}
		}
		conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(server))
		if err != nil {
			f.close()
			return nil, failed("%w", err)
		}
		f.conns = append(f.conns, conn)
	}
	return f, nil
}

// unacceptable is a first message of main mode of 76 bytes, with one transform that no
// policy allows.
func unacceptable() []byte {
	t := suite.IKE{IKESuite: suite.IKESuite{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashMD5, Group: 1}, Auth: suite.AuthPSK}
	order := []suite.Field{suite.FieldEncryption, suite.FieldKeyLength, suite.FieldHash, suite.FieldGroup, suite.FieldAuth}
	m := ikewire.StartMessage(nil, ikewire.Header{Initiator: ikewire.Cookie{1}, Version: ikewire.V1, Exchange: ikewire.ExchangeMain})
	m.Add(suite.OfferIKE([]suite.IKE{t}, suite.Layout{Order: order}))
	return m.Finish()
}

// run sends at the rate until ctx is done, each message with a cookie of its own.
func (f *strangers) run(ctx context.Context) {
	defer f.close()
	began := time.Now()
	for n := 0; ctx.Err() == nil; {
		due := int(time.Since(began).Seconds() * float64(f.rate))
		for ; n < due; n++ {
			binary.BigEndian.PutUint64(f.msg, uint64(began.UnixNano())+uint64(n))
			if _, err := f.conns[n%len(f.conns)].Write(f.msg); err == nil {
				f.sent.Add(1)
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func (f *strangers) close() {
	for _, c := range f.conns {
		c.Close()
	}
}

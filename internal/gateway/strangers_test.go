package gateway

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// unacceptable is a first message of main mode of which no tenant takes anything.
func unacceptable() []byte {
	offer := suite.IKE{IKESuite: suite.IKESuite{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashMD5, Group: 1}, Auth: suite.AuthPSK}
	order := []suite.Field{suite.FieldEncryption, suite.FieldKeyLength, suite.FieldHash, suite.FieldGroup, suite.FieldAuth}
	m := wire.StartMessage(nil, wire.Header{Initiator: wire.Cookie{1}, Version: wire.V1, Exchange: wire.ExchangeMain})
	m.Add(suite.OfferIKE([]suite.IKE{offer}, suite.Layout{Order: order}))
	return m.Finish()
}

// strangers have 30 addresses send so many unacceptable offers a second until stop is
// called, which says how many there were.
func (w *world) strangers(rate int) (stop func() int) {
	var conns []udp.Conn
	var writers []udp.Writer
	for k := range 30 {
		local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + k)}), 500)
		conn, err := w.net.Listen(udp.Config{Addr: local})
		if err != nil {
			w.t.Fatal(err)
		}
		conns, writers = append(conns, conn), append(writers, conn.NewWriter(1))
	}
	msg, sent, over := unacceptable(), 0, make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		server := netip.AddrPortFrom(netip.MustParseAddr(serverAddr), 500)
		for {
			for range rate / 1000 {
				sent++
				binary.BigEndian.PutUint64(msg, uint64(sent))
				out := writers[sent%len(writers)]
				out.Commit(msg, server, netip.Addr{})
				if err := out.Flush(); err != nil {
					w.t.Error(err)
				}
			}
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	return func() int {
		close(over)
		running.Wait()
		for _, c := range conns {
			c.Close()
		}
		return sent
	}
}

// TestFloodOfOffers: 20,000 offers a second in which nothing is acceptable keep nobody
// from dialling in, by any protocol, and do not fill the log: a few lines a second, and
// a sum of the others.
func TestFloodOfOffers(t *testing.T) {
	inWorld(t, simnet.Config{Latency: 10 * time.Millisecond, Queue: 4096}, testConfig, func(t *testing.T, w *world) {
		began := time.Now()
		stop := w.strangers(20_000)
		time.Sleep(time.Second)
		for range 5 {
			c, dialled := w.client(nil), time.Now()
			c.wantPing(c.mustDial(), "198.18.0.2")
			if took := time.Since(dialled); took > time.Second {
				t.Errorf("a dial-in took %v on a road of 10 ms", took)
			}
		}
		time.Sleep(12*time.Second - time.Since(began))
		sent := stop()
		seconds := time.Since(began).Seconds()
		lines, bytes, untold := 0, 0, int64(0)
		encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		for _, e := range w.log.All() {
			text, err := encoder.EncodeEntry(e.Entry, e.Context)
			if err != nil {
				t.Fatal(err)
			}
			switch e.Message {
			case "ike-refused":
				lines++
				bytes += text.Len()
			case "ike-refused-untold":
				untold += int64(e.ContextMap()["attempts"].(uint64))
			}
		}
		t.Logf("%d offers in %.0f s: %d lines of %d bytes, %d attempts in a sum", sent, seconds, lines, bytes, untold)
		if sent < 150_000 {
			t.Errorf("this was no flood: %d", sent)
		}
		if lines == 0 || float64(lines) > 40+5*seconds || bytes > lines*1500 {
			t.Errorf("%d lines of %d bytes in %.0f s", lines, bytes, seconds)
		}
		if untold < 100_000 {
			t.Errorf("of %d attempts %d are said not to be told", sent, untold)
		}
	})
}

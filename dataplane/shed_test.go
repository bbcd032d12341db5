package dataplane

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// flood makes a batch: so many packets of each SPI.
func flood(counts map[uint32]int) []udp.Message {
	var batch []udp.Message
	for spi, n := range counts {
		for range n {
			data := make([]byte, 64)
			binary.BigEndian.PutUint32(data, spi)
			batch = append(batch, udp.Message{Data: data})
		}
	}
	return batch
}

func TestTableCountsClients(t *testing.T) {
	table, one, two := new(saTable), &Peer{}, &Peer{}
	table.put(1000, &SA{Peer: one})
	table.put(2000, &SA{Peer: one})
	table.put(2000, &SA{Peer: one})
	table.put(3000, &SA{Peer: two})
	table.remove(1000)
	if n := table.clients(); n != 2 {
		t.Errorf("%d clients, want 2", n)
	}
	table.remove(2000)
	table.remove(2000)
	if n := table.clients(); n != 1 {
		t.Errorf("%d clients, want 1", n)
	}
}

// pressedConn is a socket that is always full.
type pressedConn struct {
	udp.Conn
	batches [][]udp.Message
}

func (c *pressedConn) NewReader(int) udp.Reader { return c }
func (c *pressedConn) Backlog() float64         { return 2 }

func (c *pressedConn) Read() ([]udp.Message, error) {
	if len(c.batches) == 0 {
		return nil, net.ErrClosed
	}
	next := c.batches[0]
	c.batches = c.batches[1:]
	return next, nil
}

// On the port of IKE nothing is cut: what begins there like an SPI is a cookie.
func TestSheddingIsForESP(t *testing.T) {
	for _, natt := range []bool{true, false} {
		w := newCrowd(t).worker
		w.natt, w.conn = natt, &pressedConn{batches: [][]udp.Message{flood(map[uint32]int{3000: 100, 3001: 100})}}
		w.run()
		if cut := w.plane.Drops()[DropShare]; cut > 0 != natt {
			t.Errorf("NAT-T %v: %d cut", natt, cut)
		}
	}
}

// filterConn is a socket that is always full, and can drop.
type filterConn struct {
	pressedConn
	told []udp.Stream
}

func (c *filterConn) NewReader(int) udp.Reader { return c }

func (c *filterConn) Read() ([]udp.Message, error) {
	time.Sleep(50 * time.Millisecond)
	return c.pressedConn.Read()
}

func (c *filterConn) SetFilter(streams []udp.Stream, _ time.Duration) error {
	c.told = slices.Clone(streams)
	return nil
}

// A worker has its socket drop what it would cut of a flood, and of nobody else.
func TestWorkerTellsItsSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t).worker
		conn := new(filterConn)
		for range 5 {
			conn.batches = append(conn.batches, flood(map[uint32]int{3000: 500, 3001: 5}))
		}
		w.conn = conn
		w.run()
		if len(conn.told) != 1 || conn.told[0].Head != 3000 || conn.told[0].Pass > 0.5 {
			t.Errorf("told %+v", conn.told)
		}
		if cut := w.plane.Drops()[DropShare]; cut < 5*500 {
			t.Errorf("%d cut, with what is reckoned", cut)
		}
	})
}

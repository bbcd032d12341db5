package bench

import (
	"context"
	"encoding/binary"
	"net/netip"
	"runtime"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// FlowsConfig says how a policy is asked.
type FlowsConfig struct {
	Rules    int           // 0: 100
	Flows    int           // that there are at once; 0: 1000000
	Duration time.Duration // of each measurement; 0: a second
	Rounds   int           // 0: 3
}

// maxBenchFlows is how many flows there may be: each has a port and an address of its own.
const maxBenchFlows = 10_000_000

func (c FlowsConfig) withDefaults() (FlowsConfig, error) {
	if c.Rules == 0 {
		c.Rules = 100
	}
	if c.Flows == 0 {
		c.Flows = 1_000_000
	}
	if c.Flows < 1 || c.Flows > maxBenchFlows {
		return c, badOption("%d flows: between 1 and %d", c.Flows, maxBenchFlows)
	}
	if err := checkRules(c.Rules); err != nil {
		return c, err
	}
	return c, defaultTimes(&c.Duration, time.Second, &c.Rounds, 3)
}

// Flows measures the policy of a tenant on one core: new flows, of which the rules are asked
// and which make room for one another, packets of flows that are known, and the memory that
// flows take.
func Flows(ctx context.Context, c FlowsConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "flows", Title: "The policy of a tenant, on one core",
		About: "A tenant has as many flows as it may have. Each new one is judged by the last of its rules and takes the place of the oldest; what is known is found in the table.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	var begun, known, memory, allocs []float64
	for range c.Rounds {
		t, err := newFlowTable(c)
		if err != nil {
			return s, failed("%w", err)
		}
		before := heapInUse()
		for range c.Flows {
			t.begin()
		}
		memory = append(memory, float64(heapInUse()-before)/float64(c.Flows))
		was, n := mallocs(), t.made
		begun = append(begun, c.rate(ctx, t.begin))
		allocs = append(allocs, float64(mallocs()-was)/float64(max(1, t.made-n)))
		known = append(known, c.rate(ctx, t.again))
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if t.held > 0 {
			return s, failed("%d of %d flows were not allowed", t.held, t.made)
		}
		p.Say("flows  new %s   known %s   %s each   allocs/flow %.3f", PerSecond.Format(begun[len(begun)-1]), PacketsPerSecond.Format(known[len(known)-1]),
			Bytes.Format(memory[len(memory)-1]), allocs[len(allocs)-1])
	}
	s.add("new flows", PerSecond, begun...)
	s.add("packets of known flows", PacketsPerSecond, known...)
	s.add("memory a flow", Bytes, memory...)
	s.add("allocs a new flow", Count, allocs...)
	s.atLeast("new flows", 500_000)
	s.atMost("memory a flow", 128)
	s.note("%d rules, %d flows", c.Rules, c.Flows)
	return s, nil
}

// rate is how often a second something is done.
func (c FlowsConfig) rate(ctx context.Context, do func()) float64 {
	began, n := time.Now(), uint64(0)
	for time.Since(began) < c.Duration && ctx.Err() == nil {
		for range 1024 {
			do()
		}
		n += 1024
	}
	return rate(n, time.Since(began))
}

// flowTable is a tenant with a client for every thousand flows.
type flowTable struct {
	flows   *policy.Flows
	clients []*policy.Party
	ip      ipkt.Packet
	most    int // flows at once
	made    int
	held    int
	turn    int
}

// flowsEach is how many flows each client has at the most.
const flowsEach = 1000

func newFlowTable(c FlowsConfig) (*flowTable, error) {
	rules, err := policy.Compile(policy.Config{Sets: []policy.Set{policySet(c.Rules, netip.MustParsePrefix(poolNetwork))}})
	if err != nil {
		return nil, err
	}
	t := &flowTable{flows: policy.NewFlows(policy.Bounds{Session: flowsEach, Tenant: c.Flows}, rules), most: c.Flows}
	for i := range (c.Flows + flowsEach - 1) / flowsEach {
		who, at := new(policy.Party), new(policy.Subject)
		at.SetAddress(clientOf(i))
		who.SetAddresses(at)
		who.SetIdentity(&policy.Identity{User: benchUser}, nil)
		t.clients = append(t.clients, who)
	}
	t.ip, err = ipkt.Parse(udpHeader(clientOf(0), outside(), udpOverhead))
	return t, err
}

// clientOf is the address of a client.
func clientOf(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 128, byte(i >> 8), byte(i)}) }

// begin has the next flow begin, as old as its number says.
func (t *flowTable) begin() {
	t.send(t.made)
	t.made++
}

// again has a packet of one of the flows that are there.
func (t *flowTable) again() {
	// A step that has nothing in common with most numbers finds all of them, in no order
	// that a cache could guess.
	t.turn += 7919
	t.send(t.made - 1 - t.turn%min(t.made, t.most))
}

// send has a packet of a flow judged.
func (t *flowTable) send(n int) {
	i := n % len(t.clients)
	src := clientOf(i).As4()
	copy(t.ip.Bytes[12:], src[:])
	binary.BigEndian.PutUint32(t.ip.Bytes[16:], 0xc6000000|uint32(n/len(t.clients)>>14)&0xffffff)
	binary.BigEndian.PutUint16(t.ip.Bytes[20:], uint16(n/len(t.clients)&0x3fff|0x4000))
	if d := t.flows.Judge(policy.Now{Wall: 1, Up: uint32(t.made / 500_000)}, t.clients[i], nil, &t.ip); !d.Allow {
		t.held++
	}
}

// heapInUse is what is allocated and in use.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

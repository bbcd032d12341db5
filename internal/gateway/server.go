package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant"
	"go.uber.org/zap"
)

// ErrEnded is what whoever asks the server for something gets once it has ended.
var ErrEnded = engine.ErrEnded

// Config is what a Gateway is made of.
type Config struct {
	// Config is the checked configuration file.
	Config *config.Config
	// Store holds users and leases; nil: only those of the configuration.
	Store *store.Store
	// Version says which culvert this is, to whoever asks for the Figures.
	Version string
	// Log gets one line for each thing that happens to a client.
	Log *zap.Logger
	// Listen opens sockets; nil: those of the kernel.
	Listen func(udp.Config) (udp.Conn, error)
	// OpenDevice opens the device of a tenant; nil: what its egress says.
	OpenDevice func(*config.Tenant) (tenant.Device, error)
	// EAP makes a machine that relays a client's EAP to whoever knows its method, such
	// as a RADIUS server, or returns nil where it is to be served here; nil: all is.
	// It is called on the control loop; what is slow is the machine's Compute.
	EAP func(EAPClient) eap.Authenticator
	// Web asks about revoked certificates; nil: over the network.
	Web http.RoundTripper
	// OuterMTU is the largest IP packet between clients and us, in bytes; 0: 1500.
	OuterMTU int

	after uint64 // the sequence number behind which child SAs begin to send
}

// server is what all of the gateway has in common: what it is made of, its tenants, and who
// is connected.
type server struct {
	config  Config
	devices *devices // nil: Config.OpenDevice shares what it wants
	log     *zap.Logger
	stream  *event.Stream
	counter *event.Counter // of what happens
	since   time.Time      // when Run began
	engine  *engine.Engine
	faults  *fault.Log
	running sync.WaitGroup  // what runs beside the engine
	asking  context.Context // ends with the control loop

	// What follows belongs to the control loop of the engine.
	*roster
	clients
	bans          *barred
	leasesChanged bool      // the state store does not know the latest leases
	taken         []*taking // figures that are being taken
	maxIdle       int       // peers without a session
}

func newServer(c Config) *server {
	g := &server{config: c, log: event.Brief(c.Log), clients: newClients(), roster: newRoster(nil, nil), counter: event.NewCounter(), maxIdle: maxIdle, bans: newBarred()}
	g.stream = event.NewStream(tell.SinkFailed(g.log), event.NewLog(g.log), g.counter)
	g.faults = fault.New(func(r fault.Report) { g.emit(tell.Fault(r)) })
	return g
}

// candidates are who may dial us there by now.
func (g *server) candidates(local, remote netip.Addr) []ike.Candidate {
	return g.keys.candidates(local, remote)
}

// l2tpSecret returns the secret that a peer's tunnels are authenticated with;
// empty: none. Tenants that share a pre-shared key share the first one's.
func (g *server) l2tpSecret(p *engine.Peer) []byte {
	group, _ := g.keys.group(p.Label)
	for _, t := range group {
		if t.L2TPSecret.Len() > 0 {
			return t.L2TPSecret.Bytes()
		}
	}
	return nil
}

// renews reports whether we renew a client's child SAs that could wait for it to do so.
func (g *server) renews(p *engine.Peer) bool {
	group, _ := g.keys.group(p.Label)
	return len(group) > 0 && group[0].IKE.InitiateRekey
}

// Whose work that is which is nobody's: of logins whose name leads to no tenant, and our own.
// Tenants have neither name.
const ofNobody, ofOurs = "", " "

// later has something done for a tenant that may wait for a disk or a network, and reports
// whether it will be: it is not if too much waits already.
func (g *server) later(t *tenantState, f func()) bool {
	owner := ofNobody
	if t != nil {
		owner = t.Name
	}
	return g.engine.Work.Later(owner, f)
}

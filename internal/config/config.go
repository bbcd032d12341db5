package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// What a file that says nothing gets.
const (
	DefaultState         = "/var/lib/culvert"
	DefaultPortIKE       = 500
	DefaultPortNATT      = 4500
	DefaultLogLevel      = "info"
	DefaultLogFormat     = "console"
	DefaultIKELifetime   = 24 * time.Hour
	DefaultChildLifetime = 8 * time.Hour
	DefaultDPDInterval   = 30 * time.Second
	DefaultDPDTries      = 5
	DefaultFlows         = 4096
	// DefaultSessionsPerUser is for a person's telephones and computers, and a router.
	DefaultSessionsPerUser = 16
	// DefaultLoginFailures are what people need who have forgotten their password.
	DefaultLoginFailures = 5
)

// DefaultLockout is that of a tenant that says nothing of it, and of names that lead to none.
func DefaultLockout() Lockout {
	return Lockout{For: 15 * time.Minute, Users: 50, BruteForce: 50, Spraying: 100}
}

// Config is a whole configuration file, checked.
type Config struct {
	// Listen holds the addresses to bind, each on both ports; the wildcards
	// 0.0.0.0 and :: when the file names none.
	Listen []netip.Addr
	// Ports are the UDP ports; 500 and 4500, where native clients look.
	Ports Ports
	// State is the directory of internal/store.
	State string
	// Log says what is logged and how.
	Log Log
	// Workers is the number of data workers; 0 is one a CPU.
	Workers int
	// Redirect sends clients of IKEv2 to another gateway.
	Redirect Redirect
	// Block are files of addresses and networks that nobody dials in from. They may change
	// while it runs.
	Block []string
	// Tenants, in the order of the file; at least one.
	Tenants []Tenant
	// Files are those that the configuration refers to, but for lists of revoked
	// certificates: secrets, certificates and their keys. They may change while it runs.
	Files []string
	// Stamps has the Stamp that each of Files had before it was read.
	Stamps []string
	// Warnings are the places where the file is legal and unwise.
	Warnings Problems

	inline bool   // the file itself has secrets in it
	name   string // of the file
	text   []byte // of the file
}

// Ports are the two UDP ports of IKE.
type Ports struct {
	// IKE is where clients begin (RFC 2408 section 2.5.1: 500).
	IKE uint16
	// NATT is where they move to, for IKE and ESP in UDP (RFC 3947: 4500).
	NATT uint16
}

// Log says what is logged and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is console (for people) or json (one object a line).
	Format string
}

// Tenant is all that belongs to one customer.
type Tenant struct {
	// Name names the tenant in logs, commands and the state store.
	Name string
	// Default is set on the one tenant that takes users who name no realm
	// where the pre-shared key alone leaves a choice.
	Default bool
	// Legacy allows 3DES and the 1024 and 1536 bit MODP groups.
	Legacy bool
	// Match says how clients of this tenant are recognised.
	Match Match
	// PSKs are the pre-shared keys that open this tenant; at least one, or a
	// Certificate. All are accepted, so that a key can be changed without a cut.
	PSKs []Secret
	// PPK are the post-quantum keys that clients of IKEv2 may add to any way to
	// log in.
	PPK PPK
	// Redirect is the gateway that clients of IKEv2 are sent to once they are known
	// to be this tenant's (RFC 5685, section 6); empty: they are served here.
	Redirect string
	// Certificate is what the tenant proves who it is with in IKEv2, and, if its
	// key is RSA, in IKEv1 to clients that have a certificate of CA; nil: none, and
	// clients need a key.
	Certificate *Certificate
	// Identity is what the tenant calls itself in IKEv2; empty: by the
	// certificate.
	Identity string
	// CA are the authorities that issue the certificates of clients.
	CA []*x509.Certificate
	// CRL are lists of certificates that were taken back, and CRLFiles the files that
	// hold them, which change while the server runs.
	CRL      []*x509.RevocationList
	CRLFiles []string
	// StrictRevocation refuses clients' certificates of which nothing says that they
	// are good: no list in force, and no answer from where the certificate says.
	StrictRevocation bool
	// L2TPSecret authenticates tunnels both ways and hides AVPs (RFC 2661
	// sections 5.1.1 and 4.3); empty: none, as most native clients want it.
	L2TPSecret Secret
	// Auth says who may log in and how.
	Auth Auth
	// Pool holds the IPv4 ranges client addresses are given from, disjoint.
	// The first host address of the first range is the gateway's own.
	Pool []netip.Prefix
	// Pool6 holds the IPv6 ranges that each client gets a prefix of, disjoint;
	// empty: clients have no IPv6. The first address of the first range is the
	// gateway's own. In the file they stand in pool, too.
	Pool6 []netip.Prefix
	// Pools are pools beside that one, for users who are to have addresses of one
	// of them. The gateway's address is in Pool and Pool6, and no two ranges of a
	// tenant overlap.
	Pools []NamedPool
	// Delegate is the length of the prefix that a client with a network behind
	// it is given for that (RFC 8415 section 6.3), beside the /64 of its link;
	// 0: none.
	Delegate int
	// Leases are the addresses that are one user's alone, from `leases` and from the
	// users' own `address`: at most one a family for each, and none twice.
	Leases []Lease
	// DNS servers told to clients, of both families. Where a family has none:
	// the tenant's gateway address, where culvert's own forwarder answers.
	DNS []netip.Addr
	// NBNS servers (WINS) told to clients; empty: none.
	NBNS []netip.Addr
	// Domains are searched by clients, and resolved by the servers of DNS; the
	// first is the tenant's own.
	Domains []string
	// Routes pushed to clients, of both families; empty: everything goes
	// through the tunnel.
	Routes []netip.Prefix
	// ClientToClient lets the tenant's clients reach each other: clients: open.
	ClientToClient bool
	// MTU is the largest inner packet in bytes; 0: found from the
	// encapsulation in use.
	MTU int
	// IKE holds lifetimes and liveness of the security associations.
	IKE IKE
	// Limits bound what the tenant and each of its sessions may take.
	Limits Limits
	// Egress is how the tenant's traffic leaves.
	Egress Egress
	// Policy says which flows may begin.
	Policy Policy
	// Block are files of addresses and networks that none of the tenant's clients dials in from.
	Block []string
}

// Match says how clients of a tenant are recognised, beside its keys.
type Match struct {
	// Realms, in lower case, are the acme of alice@acme and acme\alice.
	Realms []string
	// Local are the addresses of ours that this tenant's clients dial;
	// empty: any.
	Local []netip.Addr
	// Groups are the names under which clients may begin with aggressive mode, with
	// the first of the tenant's keys; empty: it is refused. No two tenants that are
	// dialled at one address have one name.
	Groups []string
	// StrictIdentity refuses clients whose certificate does not have the name that they
	// give themselves in IKE (RFC 4945, section 3.1). Otherwise what they give is passed over:
	// the certificate says who they are.
	StrictIdentity bool
}

// Auth says who may log in to a tenant and how.
type Auth struct {
	// Allow holds the authentication methods that may be offered.
	Allow Methods
	// Users written in the file. Users of the state store come on top; of
	// two with one name the file's counts.
	Users []User
}

// Methods is a set of authentication methods.
type Methods struct {
	// MSCHAPv2 (RFC 2759) works with every native client and with a
	// password of which only the NT hash is known. The default.
	MSCHAPv2 bool
	// CHAP with MD5 (RFC 1994) needs the password itself.
	CHAP bool
	// EAP is EAP-MSCHAPv2 (RFC 3748), in IKEv2, and in PPP for profiles of Windows
	// that demand EAP. By default where there is a certificate.
	EAP bool
	// EAPTLS is EAP-TLS (RFC 5216), in IKEv2 and in PPP.
	EAPTLS bool
	// Certificate is a client's certificate in IKE itself; in L2TP it stands for the
	// pre-shared key, and PPP asks for a user as ever. By default where there are a
	// certificate and authorities.
	Certificate bool
	// PSK lets clients of IKEv2 in with a pre-shared key alone. It names no user.
	PSK bool
	// XAUTH lets clients of IKEv1 in with extended authentication and mode config:
	// "Cisco IPSec" of macOS and iOS, "IPSec Xauth" of Android.
	XAUTH bool
	// PAP (RFC 1334) sends the password through the IPsec tunnel as it is.
	PAP bool
}

// User is a user written in the file. Exactly one of Password and NTHash is
// not empty.
type User struct {
	// Name, as written. Names are equal when [UserKey] of them is.
	Name string
	// Password itself, in UTF-8.
	Password Secret
	// NTHash is the 16 byte MD4 of the password in UTF-16LE (RFC 2759
	// section 8.3); as good as the password to whoever reads it.
	NTHash Secret
	Attributes
}

// Lease ties a user to one address, or to one prefix of IPv6.
type Lease struct {
	// User is the name as written, without a realm.
	User string
	// Addr is an IPv4 address of one of the tenant's pools; invalid: it is Prefix.
	Addr netip.Addr
	// Prefix is all of IPv6 that the user's client gets, PrefixBits long, of one of
	// the tenant's pools.
	Prefix netip.Prefix
}

// IKE holds lifetimes and liveness of a tenant's security associations. The
// lifetimes a client asks for are answered as they are asked; these are when
// we let go, or renew, if the client does nothing.
type IKE struct {
	// Lifetime of an IKE SA.
	Lifetime time.Duration
	// ChildLifetime of an ESP SA.
	ChildLifetime time.Duration
	// InitiateRekey makes us renew both before they run out. Native clients
	// do it themselves.
	InitiateRekey bool
	// DPD asks silent peers for a sign of life (RFC 3706).
	DPD DPD
}

// DPD is dead peer detection (RFC 3706).
type DPD struct {
	// Interval of silence after which we ask; 0: never.
	Interval time.Duration
	// Tries without an answer after which a peer is gone.
	Tries int
}

// Limits bound what a tenant and each of its sessions may take.
type Limits struct {
	// Sessions up at once; 0: as many as the pool has addresses.
	Sessions int
	// SessionsPerUser one user may have up at once; 0: as many as the tenant.
	SessionsPerUser int
	// LoginFailures are the wrong passwords that a device may try of a user before its
	// logins wait; 0: as many as it likes.
	LoginFailures int
	// Lockout is what follows when wrong passwords go on.
	Lockout Lockout
	// SessionTimeout ends a session after that long; 0: never.
	SessionTimeout time.Duration
	// IdleTimeout ends a session after that long without traffic; 0: never.
	IdleTimeout time.Duration
	// Flows one session may have open at once through netstack.
	Flows int
}

// Lockout is when guessing is seen, and for how long who guesses is locked out.
type Lockout struct {
	// For is how long a ban lasts that wrong passwords have led to; 0: there is none.
	For time.Duration
	// Users are those whose passwords one device may try, or several devices of one address
	// that nobody right comes from, before it is banned for all users; 0: as many as it likes.
	Users int
	// BruteForce is how many wrong passwords of one user are said to be an attack; 0: it is
	// not said.
	BruteForce int
	// Spraying is of how many users of the tenant a few wrong passwords each are said to be
	// one; 0: it is not said.
	Spraying int
}

// Egress is how a tenant's traffic leaves; exactly one field is set.
type Egress struct {
	// Netstack: a network stack inside culvert, to the host's sockets.
	Netstack *Netstack
	// TUN: a device of the kernel.
	TUN *TUN
}

// Netstack is egress through culvert's own stack; it needs no privilege. Of
// Allow, Deny and what is closed by default (each address of the host itself,
// link-local addresses and other metadata services, the pools of all tenants)
// the longest range that holds a destination decides; of two of one length,
// Allow. All else is open.
type Netstack struct {
	// Allow opens destinations.
	Allow []netip.Prefix
	// Deny closes destinations.
	Deny []netip.Prefix
	// Timeouts of what clients have under way.
	Timeouts Timeouts
}

// Timeouts are for how long netstack keeps what is silent; 0: as netstack has it.
type Timeouts struct {
	// TCP connections without a byte or a keepalive; TCPHalfClosed where one side
	// has said that it sends no more; TCPConnect until the destination answers.
	TCP, TCPHalfClosed, TCPConnect time.Duration
	// UDP ports of clients; DNS those that have sent to port 53 alone.
	UDP, DNS time.Duration
	// ICMP: how long the answer to a ping is waited for.
	ICMP time.Duration
}

// TUN is egress through a TUN device, made, addressed and routed by culvert.
type TUN struct {
	// Device is the name of the interface, 1 to 15 bytes.
	Device string
	// NetNS is where the device is put: empty for culvert's own namespace,
	// the name of one under /run/netns, or an absolute path.
	NetNS string
	// Allow opens pools of other tenants with devices in the same namespace, which
	// are closed. A range counts where it is at least as long as the pool.
	Allow []netip.Prefix
}

// Tenant returns the tenant of that name.
func (c *Config) Tenant(name string) (*Tenant, bool) {
	for i := range c.Tenants {
		if c.Tenants[i].Name == name {
			return &c.Tenants[i], true
		}
	}
	return nil, false
}

// DefaultTenant returns the tenant that says so, or the only one there is.
func (c *Config) DefaultTenant() (*Tenant, bool) {
	for i := range c.Tenants {
		if c.Tenants[i].Default {
			return &c.Tenants[i], true
		}
	}
	if len(c.Tenants) == 1 {
		return &c.Tenants[0], true
	}
	return nil, false
}

// CheckUser refuses a name that CheckUserName refuses, and one that ends in a
// tenant's realm: that is cut off before the name is looked up.
func (c *Config) CheckUser(name string) error {
	if err := CheckUserName(name); err != nil {
		return err
	}
	if realm, ok := c.realmIn(name); ok {
		return fmt.Errorf("config: @%s is the realm of a tenant; name the user without it", realm)
	}
	return nil
}

// realmIn returns the realm of a tenant that a user's name ends in.
func (c *Config) realmIn(name string) (string, bool) {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return "", false
	}
	for i := range c.Tenants {
		for _, realm := range c.Tenants[i].Match.Realms {
			if strings.EqualFold(realm, name[at+1:]) {
				return realm, true
			}
		}
	}
	return "", false
}

// Zero overwrites every secret in the configuration.
func (c *Config) Zero() {
	clear(c.text)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		for _, psk := range t.PSKs {
			psk.Zero()
		}
		t.L2TPSecret.Zero()
		for _, k := range t.PPK.Keys {
			k.Secret.Zero()
		}
		for _, u := range t.Auth.Users {
			u.Password.Zero()
			u.NTHash.Zero()
		}
	}
}

// Gateway returns the tenant's own address inside the tunnel: the first host
// address of the first range of its pool.
func (t *Tenant) Gateway() netip.Addr {
	if len(t.Pool) == 0 {
		return netip.Addr{}
	}
	return t.Pool[0].Addr().Next()
}

// Gateway6 returns the tenant's own IPv6 address inside the tunnel: the first
// host address of the first range of Pool6; not valid where there is none.
func (t *Tenant) Gateway6() netip.Addr {
	if len(t.Pool6) == 0 {
		return netip.Addr{}
	}
	return t.Pool6[0].Addr().Next()
}

// Gateways are the tenant's own addresses inside the tunnel, one a family.
func (t *Tenant) Gateways() []netip.Addr {
	if len(t.Pool6) == 0 {
		return []netip.Addr{t.Gateway()}
	}
	return []netip.Addr{t.Gateway(), t.Gateway6()}
}

// PrefixBits returns the length of the prefix that a client is given of Pool6:
// a /64, or where prefixes are delegated twice one of those, the second half
// of which is delegated and the first /64 of which is the link's.
func (t *Tenant) PrefixBits() int {
	if t.Delegate > 0 {
		return t.Delegate - 1
	}
	return 64
}

// User returns the user of that name from the file.
func (t *Tenant) User(name string) (*User, bool) {
	key := UserKey(name)
	for i := range t.Auth.Users {
		if UserKey(t.Auth.Users[i].Name) == key {
			return &t.Auth.Users[i], true
		}
	}
	return nil, false
}

// UserKey is the form of a user's name that names are compared in: telephones
// like to begin a name with a capital letter, so case does not count. The
// password's proof is computed with the name as the client sent it.
func UserKey(name string) string { return strings.ToLower(name) }

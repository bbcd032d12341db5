package event

import (
	"net/netip"
	"time"
)

// Serving: the sockets are open.
type Serving struct {
	info    `event:"serving"`
	Listen  []netip.Addr `json:"listen"`
	Tenants int          `json:"tenants"`
	IKE     uint16       `json:"ike"`
	NATT    uint16       `json:"nat_t"`
}

// LeftBehind: a server that was told to end did not wait for this any longer.
type LeftBehind struct {
	warning `event:"left-behind"`
	What    []string `json:"what"`
	Hint    string   `json:"hint"`
}

// Stopped: the server has ended, as it was told to. Nothing comes after it.
type Stopped struct {
	info `event:"stopped"`
	Took time.Duration `json:"took"` // once every client was told
}

// ReceiveBufferSmall: the system gives sockets less memory than they should have.
type ReceiveBufferSmall struct {
	warning `event:"receive-buffer-small"`
	Granted int    `json:"granted"` // bytes
	Wanted  int    `json:"wanted"`
	Help    string `json:"help"`
}

// NoOffload: a tenant's device takes packets one by one.
type NoOffload struct {
	warning `event:"no-offload"`
	Tenant  string `json:"tenant"`
	Hint    string `json:"hint"`
}

// ConfigurationApplied: another configuration is in force.
type ConfigurationApplied struct {
	info    `event:"configuration-applied"`
	Added   []string `json:"added"` // tenants
	Changed []string `json:"changed"`
	Removed []string `json:"removed"`
}

// RestartNeeded: of a configuration that was applied these have no effect yet.
type RestartNeeded struct {
	warning `event:"restart-needed"`
	What    []string `json:"what"`
	Hint    string   `json:"hint"`
}

// FilesRefused: a file that the configuration names has changed and cannot be taken.
type FilesRefused struct {
	failure `event:"files-refused"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// CertificateExpired: clients will refuse a tenant's certificate.
type CertificateExpired struct {
	warning     `event:"certificate-expired"`
	Tenant      string    `json:"tenant"`
	Certificate string    `json:"certificate"` // its subject
	At          time.Time `json:"at"`
	Hint        string    `json:"hint"`
}

// CRLRead: lists of revoked certificates were read anew.
type CRLRead struct {
	info   `event:"crl-read"`
	Tenant string `json:"tenant"`
	Lists  int    `json:"lists"`
}

// CRLRefused: a list of revoked certificates cannot be taken.
type CRLRefused struct {
	failure `event:"crl-refused"`
	Tenant  string `json:"tenant"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// LeasesLost: who had which address is not known any more.
type LeasesLost struct {
	warning `event:"leases-lost"`
	Tenant  string `json:"tenant"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// LeasesNotSaved: who has which address will not be known after a restart.
type LeasesNotSaved struct {
	warning `event:"leases-not-saved"`
	Tenant  string `json:"tenant"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// SessionsOutside: sessions of a tenant have addresses that their users would not be given any
// more.
type SessionsOutside struct {
	info     `event:"sessions-outside"`
	Tenant   string `json:"tenant"`
	Sessions int    `json:"sessions"`
	Hint     string `json:"hint"`
}

// PoolNearlyFull: nine in ten of what a pool leases are in use, or kept for their users.
type PoolNearlyFull struct {
	warning `event:"pool-nearly-full"`
	Tenant  string `json:"tenant"`
	Pool    string `json:"pool"`
	What    string `json:"what"` // addresses, or prefixes of IPv6
	Taken   int    `json:"taken"`
	Size    int    `json:"size"`
	Hint    string `json:"hint"`
}

// PoolFull: nobody can be given anything of a pool who has nothing of his own there.
type PoolFull struct {
	warning `event:"pool-full"`
	Tenant  string `json:"tenant"`
	Pool    string `json:"pool"`
	What    string `json:"what"`
	Size    int    `json:"size"`
	Hint    string `json:"hint"`
}

// PoolHasRoom: less than eight in ten are taken of a pool that was full, or nearly.
type PoolHasRoom struct {
	info   `event:"pool-has-room"`
	Tenant string `json:"tenant"`
	Pool   string `json:"pool"`
	What   string `json:"what"`
	Taken  int    `json:"taken"`
	Size   int    `json:"size"`
}

// Dropped: packets and messages were dropped, by cause, as name=number.
type Dropped struct {
	info  `event:"dropped"`
	Since []string `json:"since-the-last"`
}

// FlowDenied: a tenant's policy has denied a flow that a client began, or that was to one.
type FlowDenied struct {
	warning `event:"flow-denied"`
	Tenant  string `json:"tenant"`
	User    string `json:"user,omitempty"`
	Filter  string `json:"filter,omitempty"` // that the rule is of; empty: of the policy
	Rule    string `json:"rule"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// FlowAllowed: a rule of a tenant's policy that is logged has allowed a flow.
type FlowAllowed struct {
	info   `event:"flow-allowed"`
	Tenant string `json:"tenant"`
	User   string `json:"user,omitempty"`
	Filter string `json:"filter,omitempty"` // that the rule is of; empty: of the policy
	Rule   string `json:"rule"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// RulesMissing: a session has a group or a filter that is not in its tenant any more, and ends.
type RulesMissing struct {
	warning `event:"filter-missing"`
	Session
	Missing string `json:"missing"`
	Hint    string `json:"hint"`
}

// FlowsUntold: so many more flows were to be told of.
type FlowsUntold struct {
	info   `event:"flows-untold"`
	Tenant string `json:"tenant"`
	Flows  uint64 `json:"flows"`
}

// LimitHit: somebody has reached a limit.
type LimitHit struct {
	warning `event:"limit-hit"`
	Tenant  string `json:"tenant"`
	User    string `json:"user,omitempty"` // whose limit it is; empty: the tenant's, or of several sessions
	Session uint64 `json:"session,omitempty"`
	Limit   string `json:"limit"`
	Most    int    `json:"most"`  // that it leaves
	Times   uint64 `json:"times"` // since it was last told
	Then    string `json:"then"`  // what followed
}

// Fault: the program met a fault of its own, and has ended what it came from.
type Fault struct {
	failure `event:"fault"`
	Where   string `json:"where"`
	What    string `json:"what"`
	Faults  uint64 `json:"faults"` // since the start
	Stack   string `json:"stack"`
	Hint    string `json:"hint"`
}

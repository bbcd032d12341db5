package event

import "net/netip"

// Peer is whom an event is about, as far as IKE knows.
type Peer struct {
	Tenant   string         `json:"tenant,omitempty"` // several, by comma, where the key does not tell which
	Protocol string         `json:"protocol"`
	Client   netip.AddrPort `json:"client,omitzero"`
	Server   netip.AddrPort `json:"server,omitzero"`  // in place of Client, where we are the client
	Family   string         `json:"family,omitempty"` // which kind of client it is
	IKE      string         `json:"ike,omitempty"`    // the suite of the IKE SA
	ESP      string         `json:"esp,omitempty"`    // and that of the child SA
}

// PeerUp: a client and the server have shown each other who they are.
type PeerUp struct {
	info `event:"peer-up"`
	Peer
}

// PeerMoved: a client has another address.
type PeerMoved struct {
	info `event:"peer-moved"`
	Peer
	To    netip.AddrPort `json:"to"`
	Moves int            `json:"moves"` // since that was said last
}

// PeerDown: nothing is left of a client.
type PeerDown struct {
	info `event:"peer-down"`
	Peer
	Reason string `json:"reason"`
}

// PeersIdle: more clients than there is room for have a key and do not log in.
type PeersIdle struct {
	warning `event:"peers-idle"`
	Peers   int            `json:"peers"`
	Ended   int            `json:"ended"`
	Client  netip.AddrPort `json:"client"` // one of those that were ended
	Hint    string         `json:"hint"`
}

// IKERefused: an attempt to dial in came to nothing before there was a user.
type IKERefused struct {
	warning `event:"ike-refused"`
	Tenant  string         `json:"tenant,omitempty"`
	Client  netip.AddrPort `json:"client,omitzero"`
	Server  netip.AddrPort `json:"server,omitzero"` // in place of Client, where we are the client
	Local   netip.AddrPort `json:"local"`
	Cause   string         `json:"cause"`
	Detail  string         `json:"detail"`
	Hint    string         `json:"hint"`
}

// IKERefusedUntold: so many more attempts came to nothing.
type IKERefusedUntold struct {
	warning  `event:"ike-refused-untold"`
	Attempts uint64 `json:"attempts"`
	Hint     string `json:"hint"`
}

// SARefused: the data plane cannot work with what IKE agreed on.
type SARefused struct {
	failure `event:"sa-refused"`
	Peer
	Err error `json:"error"`
}

// SAWorn: a child SA can carry no more, and its connection ends.
type SAWorn struct {
	warning `event:"sa-worn"`
	Peer
	Cause string `json:"cause"`
	Hint  string `json:"hint"`
}

// RekeyRefused: a renewal that had to be did not begin.
type RekeyRefused struct {
	warning `event:"rekey-refused"`
	Peer
	Err error `json:"error"`
}

// RouteRefused: the data plane has no way to a client.
type RouteRefused struct {
	failure `event:"route-refused"`
	Peer
	Err error `json:"error"`
}

// LinkRefused: no PPP link could be made for a call.
type LinkRefused struct {
	failure `event:"link-refused"`
	Peer
	Err error `json:"error"`
}

// ClientRedirected: a client that logs in is served elsewhere (RFC 5685).
type ClientRedirected struct {
	info `event:"client-redirected"`
	Peer
	User string `json:"user"`
	To   string `json:"to"`
}

// ClientsRedirected: the clients were sent to another gateway.
type ClientsRedirected struct {
	info    `event:"clients-redirected"`
	To      string `json:"to"`
	Clients int    `json:"clients"`
}

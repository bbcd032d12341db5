// Package autoconf tells a tenant's clients, once their link is up, what they
// cannot be told in PPP: the routes behind the tunnel, the domains that are
// searched, and everything about IPv6.
//
//	DHCPv4 INFORM (RFC 2131)       mask, DNS, domains, routes (options 121 and 249)
//	router solicitation (RFC 4861) an advertisement with the prefix (RFC 4862),
//	                               routes (RFC 4191), DNS and domains (RFC 8106)
//	neighbour solicitation         an advertisement of our address on the link
//	DHCPv6 (RFC 8415)              DNS and domains; a delegated prefix
//
// A [Responder] belongs to a tenant and is made once. Its functions turn one
// packet of a client into the packet that answers it: there is no state about
// clients, no socket, no clock and no goroutine. What differs from client to
// client comes with each call, as a [Client].
//
// The other end is here, too, for connections that we make ourselves: Solicit asks
// a router, and ParseAdvertisement reads what it says.
//
// # Memory
//
// A packet given to Answer is borrowed for the call and not written to. The
// answer is new and belongs to the caller: one packet, never larger than the
// link's MTU, whatever the request claims.
//
// # What it does not do
//
// It gives no IPv4 address, as PPP does that, and no single IPv6 address: hosts
// make theirs from the prefix. It does not send on its own: when to repeat an
// advertisement is for the caller to say, see [AdvertiseAfter].
package autoconf

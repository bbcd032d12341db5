package family

import "slices"

// Quirk is a way in which a family wants to be treated that others do not.
type Quirk uint8

// The quirks; Table says of each what it does and why.
const (
	EchoNATD Quirk = iota
	KnownNotifiesOnly
	NoChildRenewal
	BroadcastSelector
	quirks
)

// Entry is a quirk in the table.
type Entry struct {
	Quirk Quirk
	// Name is what documents call it.
	Name string
	// Families have it.
	Families []Family
	// Effect is what we do.
	Effect string
	// Source is where it is known from.
	Source string
}

// windows is every release of Windows.
var windows = []Family{WindowsOld, Windows7, Windows8, Windows10}

// table is all there are, in the order of the constants.
var table = [quirks]Entry{
	{Quirk: EchoNATD, Name: "echo-nat-d", Families: windows,
		Effect: "IKEv1: the NAT-D of our own address is the hash that the client sent of it, so that it sees no NAT before the server",
		Source: "Microsoft's L2TP refuses servers behind a NAT (AssumeUDPEncapsulationContextOnSendRule is 0 by default: error 809); " +
			"SoftEther VPN serves Windows this way"},
	{Quirk: KnownNotifiesOnly, Name: "known-notifies-only", Families: append(slices.Clone(windows), Apple),
		Effect: "IKEv2: no announcement of an extension that the client did not announce itself",
		Source: "neither client has childless IKE (RFC 6023) or multiple authentication; recorded exchanges that worked have nothing to gain from them"},
	{Quirk: NoChildRenewal, Name: "no-child-renewal", Families: windows,
		Effect: "IKEv2: we never renew a child SA ourselves; the client does so after 200 MiB or its time",
		Source: "strongSwan's documentation of Windows clients: behind a NAT the client answers with Microsoft's notify 12345, status 13863 or 13816, " +
			"and drops the connection"},
	{Quirk: BroadcastSelector, Name: "broadcast-selector", Families: windows,
		Effect: "IKEv2 with routes: 255.255.255.255/32 is among our traffic selectors, so that the DHCPINFORM reaches us by which it learns its routes",
		Source: "[MS-DHCPE] and strongSwan's documentation of split tunnelling on Windows: DHCPINFORM is broadcast inside the tunnel"},
}

// Table returns all quirks. The caller must not change it.
func Table() []Entry { return table[:] }

// Has reports whether the family has the quirk.
func (f Family) Has(q Quirk) bool { return slices.Contains(table[q].Families, f) }

package family

import (
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
)

// vendorsOf returns the vendor IDs of a recorded first message.
func vendorsOf(t *testing.T, flow string) (list []wire.VendorID) {
	t.Helper()
	h, body, err := wire.ConsumeHeader(wiretest.Load(t, flow).Data)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range chain {
		if p.Type == wire.PayloadVendorID {
			list = append(list, wire.VendorID(p.Body))
		}
	}
	return list
}

// TestRecorded: the first messages of IKEv1, as recorded.
func TestRecorded(t *testing.T) {
	want := map[string]Family{"windows7-main1": Windows7, "windows10-main1": Windows10, "macos-main1": Apple, "android-main1": Android}
	for _, f := range wiretest.All(t) {
		if !strings.HasSuffix(f.Name, "-main1") {
			continue
		}
		if got := Recognise(Signs{Vendors: vendorsOf(t, f.Name)}); got != want[f.Name] {
			t.Errorf("%s is taken for %s", f.Name, got)
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("not recorded: %v", want)
	}
}

// TestSigns: first messages of which only the list of payloads is recorded.
func TestSigns(t *testing.T) {
	nt5 := func(version byte) wire.VendorID { return wire.VendorMSNT5.ID(0, 0, 0, version) }
	keyModules := wire.VendorMSKeyModules.ID(0, 0, 0, 2)
	strongSwan1 := []wire.VendorID{wire.VendorXAUTH.ID(), wire.VendorDPD.ID(1, 0), wire.VendorFragmentation.ID(0x80, 0, 0, 0),
		wire.VendorRFC3947.ID(), wire.VendorNATTDraft02N.ID()}
	racoonXAUTH := []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorNATTDraft02.ID(), wire.VendorNATTDraft00.ID(),
		wire.VendorXAUTH.ID(), wire.VendorUnity.ID(), wire.VendorFragmentation.ID(0x80, 0, 0, 0), wire.VendorDPD.ID(1, 0)}
	appleXAUTH := []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorNATTApple.ID(), wire.VendorXAUTH.ID(), wire.VendorUnity.ID(), wire.VendorDPD.ID(1, 0)}
	for _, tt := range []struct {
		name  string
		signs Signs
		want  Family
	}{
		{"Windows XP", Signs{Vendors: []wire.VendorID{nt5(4)}}, WindowsOld},
		{"Windows 8", Signs{Vendors: []wire.VendorID{nt5(9), wire.VendorRFC3947.ID()}}, Windows8},
		{"NetworkManager with strongSwan", Signs{Vendors: strongSwan1}, StrongSwan},
		{"Android with XAUTH", Signs{Vendors: racoonXAUTH}, Android},
		{"iOS with XAUTH", Signs{Vendors: appleXAUTH}, Apple},
		{"vpnc", Signs{Vendors: []wire.VendorID{wire.VendorXAUTH.ID(), wire.VendorUnity.ID(1, 0), wire.VendorRFC3947.ID(), wire.VendorDPD.ID(1, 0)}}, Cisco},
		{"strongSwan with unity", Signs{Vendors: append(strongSwan1, wire.VendorUnity.ID(1, 0))}, StrongSwan},
		{"libreswan", Signs{Vendors: []wire.VendorID{[]byte("OE-Libreswan-4.10"), wire.VendorFragmentation.ID(), wire.VendorDPD.ID(1, 0), wire.VendorRFC3947.ID()}}, Libreswan},
		{"libreswan with XAUTH that calls itself strongSwan, too", Signs{Vendors: []wire.VendorID{wire.VendorXAUTH.ID(), wire.VendorStrongSwan.ID(), wire.VendorLibreswan.ID([]byte("5.2")...)}}, Libreswan},
		{"libreswan by IKEv2", Signs{V2: true, Fragmentation: true, Redirect: true, Signatures: true, Vendors: []wire.VendorID{wire.VendorLibreswan.ID([]byte("4.12")...)}}, Libreswan},
		{"libreswan that does not say so", Signs{V2: true, Fragmentation: true, Signatures: true}, Other},
		{"nobody", Signs{}, Other},
		{"Windows 10, 11 by EAP", Signs{V2: true, Fragmentation: true, Vendors: []wire.VendorID{nt5(9), wire.VendorMSNegotiation.ID(), keyModules}}, Windows10},
		{"Windows 10, 11 by certificate", Signs{V2: true, Fragmentation: true,
			Vendors: []wire.VendorID{nt5(9), wire.VendorMSNegotiation.ID(), wire.VendorMSInitialContact.ID(), keyModules}}, Windows10},
		{"Windows 7", Signs{V2: true, Vendors: []wire.VendorID{nt5(8), wire.VendorMSNegotiation.ID()}}, Windows7},
		{"iOS, macOS", Signs{V2: true, Redirect: true, Fragmentation: true}, Apple},
		{"Android", Signs{V2: true, Fragmentation: true, Signatures: true, SHA1: true}, Android},
		{"the strongSwan app", Signs{V2: true, Fragmentation: true, Signatures: true, Redirect: true}, StrongSwan},
		{"one with additional key exchanges", Signs{V2: true, Fragmentation: true, Signatures: true, Redirect: true, Intermediate: true}, Other},
	} {
		if got := Recognise(tt.signs); got != tt.want {
			t.Errorf("%s is taken for %s", tt.name, got)
		}
	}
}

// TestRefine: what the recorded L2TP and PPP of clients say that IKE did not.
func TestRefine(t *testing.T) {
	for _, tt := range []struct {
		from         Family
		host, vendor string
		firmware     uint16
		ppp          string
		want         Family
	}{
		{Other, "RWB-LAPTOP-DELL", "Microsoft", 0x0a00, "MSRASV5.20", Windows10},
		{Other, "PC", "Microsoft", 0x0601, "", Windows7},
		{Other, "PC", "Microsoft", 0x0603, "", Windows8},
		{Other, "PC", "Microsoft", 0x0500, "", WindowsOld},
		{Other, "MikroTik", "MikroTik", 1, "", MikroTik},
		{Other, "beta.ok", "xelerance.com", 0x0690, "", Xl2tpd},
		{Other, "anonymous", "", 0, "", Android},
		{Other, "somebody", "", 0, "", Other},
		{Other, "somebody", "", 0, "MSRAS-0-PC", WindowsOld},
		{StrongSwan, "beta.ok", "xelerance.com", 0x0690, "", StrongSwan},
		{Windows7, "PC", "Microsoft", 0x0a00, "MSRASV5.20", Windows7}, // what IKE says counts
	} {
		if got := tt.from.Refine(tt.host, tt.vendor, tt.firmware).RefineByPPP(tt.ppp); got != tt.want {
			t.Errorf("%s with %q %q %04x %q: %s, want %s", tt.from, tt.host, tt.vendor, tt.firmware, tt.ppp, got, tt.want)
		}
	}
}

// TestTable: every quirk is explained and belongs to families that exist. What
// each does is shown by package gateway, with whole handshakes.
func TestTable(t *testing.T) {
	known := map[Family]bool{}
	for _, f := range []Family{Other, WindowsOld, Windows7, Windows8, Windows10, Apple, Android, StrongSwan, Libreswan, Xl2tpd, MikroTik, Cisco} {
		known[f] = true
	}
	names := map[string]bool{}
	for n, e := range Table() {
		if int(e.Quirk) != n || e.Name == "" || names[e.Name] || len(e.Effect) < 20 || len(e.Source) < 20 || len(e.Families) == 0 {
			t.Errorf("%d: %+v", n, e)
		}
		names[e.Name] = true
		for _, f := range e.Families {
			if !known[f] || !f.Has(e.Quirk) {
				t.Errorf("%s: %s", e.Name, f)
			}
		}
		if Other.Has(e.Quirk) {
			t.Errorf("%s: those that nobody knows have it", e.Name)
		}
	}
}

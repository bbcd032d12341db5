package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
)

// readBody reads the body of any payload this package knows.
func readBody(p Payload) (Body, error) {
	switch p.Type {
	case PayloadSA:
		return typed(ConsumeSA(p.Body))
	case PayloadKE:
		return typed(ConsumeKeyExchange(p.Body))
	case PayloadID:
		return typed(ConsumeID(p.Body))
	case PayloadCert:
		return typed(ConsumeCert(p.Body))
	case PayloadCertRequest:
		return typed(ConsumeCertRequest(p.Body))
	case PayloadHash:
		return typed(ConsumeHash(p.Body))
	case PayloadSignature:
		return typed(ConsumeSignature(p.Body))
	case PayloadNonce:
		return typed(ConsumeNonce(p.Body))
	case PayloadNotify:
		return typed(ConsumeNotify(p.Body))
	case PayloadDelete:
		return typed(ConsumeDelete(p.Body))
	case PayloadVendorID:
		return typed(ConsumeVendorID(p.Body))
	case PayloadNATD, PayloadNATDDraft, PayloadNATDApple:
		return typed(ConsumeNATD(p.Type, p.Body))
	case PayloadNATOA, PayloadNATOADraft:
		return typed(ConsumeNATOA(p.Type, p.Body))
	case PayloadMode:
		return typed(ConsumeModeConfig(p.Body))
	case PayloadFragmentation:
		return typed(ConsumeFragment(p.Body))
	}
	return unknown{Payload{Type: p.Type, Body: p.Body}}, nil
}

// unknown is a payload that is written as it was read.
type unknown struct{ Payload }

func (u unknown) PayloadType() PayloadType     { return u.Type }
func (u unknown) AppendBody(dst []byte) []byte { return append(dst, u.Body...) }

func typed[T Body](b T, err error) (Body, error) { return b, err }

// readMessage reads a whole plain message with all its bodies.
func readMessage(b []byte) (Header, []Body, error) {
	h, body, err := ConsumeHeader(b)
	if err != nil {
		return Header{}, nil, err
	}
	chain, err := ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		return Header{}, nil, err
	}
	bodies, err := readBodies(chain)
	return h, bodies, err
}

func readBodies(chain []Payload) ([]Body, error) {
	var bodies []Body
	for _, p := range chain {
		b, err := readBody(p)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, b)
	}
	return bodies, nil
}

func writeMessage(h Header, bodies []Body) []byte {
	m := StartMessage(nil, h)
	for _, b := range bodies {
		m.Add(b)
	}
	return m.Finish()
}

// readFlow reads a flow, be it a message or a chain.
func readFlow(f wiretest.Flow, b []byte) ([]byte, error) {
	if !f.Chain() {
		h, bodies, err := readMessage(b)
		return writeMessage(h, bodies), err
	}
	chain, used, err := ParseDecrypted(nil, PayloadSA, b)
	if err != nil {
		return nil, err
	}
	bodies, err := readBodies(chain)
	if used != len(b) {
		return nil, ErrLength
	}
	return writeMessage(Header{Version: V1}, bodies)[HeaderLen:], err
}

func TestFlowsAreWrittenAsRead(t *testing.T) {
	for _, f := range wiretest.All(t) {
		if f.Name == "windows7-main1-start" {
			continue
		}
		got, err := readFlow(f, f.Data)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if !bytes.Equal(got, f.Data) {
			t.Errorf("%s: written as\n%x\nwant\n%x", f.Name, got, f.Data)
		}
	}
}

func TestEveryTruncationOfFlowsFails(t *testing.T) {
	for _, f := range wiretest.All(t) {
		for n := range f.Data {
			cut := bytes.Clone(f.Data[:n])
			if _, err := readFlow(f, cut); err == nil {
				t.Errorf("%s: cut to %d bytes is accepted", f.Name, n)
			}
			if f.Chain() || n < HeaderLen {
				continue
			}
			// The same with a header that admits it.
			binary.BigEndian.PutUint32(cut[24:], uint32(n))
			if _, err := readFlow(f, cut); err == nil {
				t.Errorf("%s: cut to %d bytes with its length is accepted", f.Name, n)
			}
		}
	}
}

func TestCapturedStartIsThatOfTheReconstruction(t *testing.T) {
	start := wiretest.Load(t, "windows7-main1-start").Data
	whole := wiretest.Load(t, "windows7-main1").Data
	if !bytes.HasPrefix(whole, start) {
		t.Error("the reconstructed packet does not begin as the captured one")
	}
}

func TestVendorsOfFlows(t *testing.T) {
	windows := []Vendor{VendorMSNT5, VendorRFC3947, VendorNATTDraft02N, VendorFragmentation,
		VendorMSNegotiation, VendorMSInitialContact, VendorMSCGA}
	want := map[string][]Vendor{
		"windows7-main1":  windows,
		"windows10-main1": append([]Vendor{VendorMSKeyModules}, windows...),
		"macos-main1": {VendorRFC3947, VendorNATTApple, VendorNATTDraft08, VendorNATTDraft07, VendorNATTDraft06,
			VendorNATTDraft05, VendorNATTDraft04, VendorNATTDraft03, VendorNATTDraft02, VendorNATTDraft02N,
			VendorFragmentation, VendorDPD},
		"android-main1": {VendorRFC3947, VendorNATTDraft02, VendorNATTDraft02N, VendorNATTDraft00,
			VendorFragmentation, VendorDPD},
	}
	for name, vendors := range want {
		h, body, err := ConsumeHeader(wiretest.Load(t, name).Data)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := ParsePayloads(nil, h.Version, h.Next, body)
		if err != nil {
			t.Fatal(err)
		}
		if n := Count(chain, PayloadVendorID); n != len(vendors) || n != len(chain)-1 {
			t.Fatalf("%s: %d vendor IDs in %d payloads, want %d", name, n, len(chain), len(vendors))
		}
		for i, p := range chain[1:] {
			if got, _ := VendorID(p.Body).Known(); got != vendors[i] {
				t.Errorf("%s: vendor ID %d is %v, want %v", name, i, got, vendors[i])
			}
		}
	}
}

func TestQuickModeOfWindows(t *testing.T) {
	f := wiretest.Load(t, "windows10-quick1")
	padded := append(bytes.Clone(f.Data), 0, 0, 0, 0)
	chain, used, err := ParseDecrypted(nil, PayloadSA, padded)
	if err != nil || used != len(f.Data) {
		t.Fatalf("used %d of %d bytes: %v", used, len(f.Data), err)
	}
	sa, err := ConsumeSA(chain[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(sa.Proposals) != 5 {
		t.Fatalf("%d proposals, want 5", len(sa.Proposals))
	}
	last := sa.Proposals[4]
	if last.Number != 5 || last.Protocol != ProtocolESP || !bytes.Equal(last.SPI, []byte{0xa0, 0xcc, 0x75, 0x22}) {
		t.Errorf("last proposal is %+v", last)
	}
	if a, ok := find(last.Transforms[0].Attributes, AttributeEncapsulation); !ok || a.Uint() != 4 {
		t.Errorf("encapsulation is %+v", a)
	}
	ids := []string{"ID_IPV4_ADDR 192.168.1.10 proto 17 port 1701", "ID_IPV4_ADDR 203.0.113.5 proto 17 port 1701"}
	for i, want := range ids {
		id, err := ConsumeID(chain[2+i].Body)
		if err != nil || id.String() != want {
			t.Errorf("ID %d is %v (%v), want %s", i, id, err, want)
		}
	}
	oa, err := ConsumeNATOA(chain[4].Type, chain[4].Body)
	if err != nil || oa.Addr.String() != "192.168.1.10" {
		t.Errorf("NAT-OA is %v (%v)", oa, err)
	}
}

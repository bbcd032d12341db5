package l2tp

import (
	"encoding/binary"
	"slices"
)

func (it Item) hideable() bool {
	known, _ := it.Attribute.lookup()
	return it.Vendor == 0 && known.hideable
}

// composition is what the values of a message are taken from. call is nil in messages
// about the tunnel.
type composition struct {
	endpoint *Endpoint
	tunnel   *tunnel
	call     *call
	result   Result
}

// compose returns a message, its Ns and Nr open.
func (x *composition) compose(kind MessageType, items []Item) []byte {
	h := Header{Tunnel: x.tunnel.remote}
	if x.call != nil {
		h.Call = x.call.remote
	}
	b := appendHeader(make([]byte, 0, 128), h)
	b = appendAVP(b, AVP{Mandatory: true, Type: AttrMessageType, Value: binary.BigEndian.AppendUint16(nil, uint16(kind))})
	vector := x.vector(items)
	if vector != nil {
		b = appendAVP(b, AVP{Mandatory: true, Type: AttrRandomVector, Value: vector})
	}
	for _, it := range items {
		b = x.appendItem(b, it, vector)
	}
	sealLength(b)
	return b
}

// vector returns a fresh random vector if this tunnel hides AVPs (section 4.3: it comes
// before the first hidden one) and the message has one to hide, otherwise nil.
func (x *composition) vector(items []Item) []byte {
	if !x.tunnel.hide || !slices.ContainsFunc(items, Item.hideable) {
		return nil
	}
	v := make([]byte, 16)
	if x.endpoint.random(v) != nil {
		return nil
	}
	return v
}

func (x *composition) appendItem(b []byte, it Item, vector []byte) []byte {
	value, ok := x.value(it)
	if !ok {
		return b
	}
	a := AVP{Mandatory: !it.Optional, Vendor: it.Vendor, Type: it.Attribute, Value: value}
	if vector != nil && it.hideable() {
		a.Hidden = true
		a.Value = hideValue(a.Type, x.tunnel.secret(x.endpoint), vector, value)
	}
	return appendAVP(b, a)
}

// value returns the value of the AVP; false: it is left out.
func (x *composition) value(it Item) ([]byte, bool) {
	switch it.From {
	case FromText:
		return []byte(it.Text), true
	case FromHost:
		return []byte(x.hostName()), true
	case FromHostNUL:
		return append([]byte(x.hostName()), 0), true
	case FromVendor:
		return []byte(x.endpoint.cfg.Vendor), x.endpoint.cfg.Vendor != ""
	case FromChallenge, FromResponse:
		return x.authentication(it.From)
	case FromResult, FromResultBare, FromResultCode, FromResultSwapped:
		return appendResult(nil, it.From, x.result), true
	case FromCorrelation, FromTie, FromSequencing:
		return x.dialled(it.From)
	}
	n, wide := x.number(it)
	if wide {
		return binary.BigEndian.AppendUint32(nil, n), true
	}
	return binary.BigEndian.AppendUint16(nil, uint16(n)), true
}

// number returns a numeric value and whether it has four octets.
func (x *composition) number(it Item) (n uint32, wide bool) {
	switch it.From {
	case FromFirmware:
		return uint32(x.endpoint.cfg.Firmware), false
	case FromTunnel:
		return uint32(x.tunnel.local), false
	case FromCall:
		return uint32(x.call.local), false
	case FromWindow:
		return uint32(x.tunnel.ch.ours), false
	case FromSerial:
		return x.call.serial, true
	case FromSpeed:
		if d := x.call.dial; d != nil && d.TxSpeed != 0 {
			return d.TxSpeed, true
		}
	}
	return it.Number, it.From != FromNumber16
}

func (x *composition) hostName() string {
	if d := x.tunnel.dial; d != nil && d.HostName != "" {
		return d.HostName
	}
	if name := x.tunnel.persona.HostName; name != "" {
		return name
	}
	return x.endpoint.cfg.HostName
}

// authentication returns the Challenge or the Challenge Response, where there is one.
func (x *composition) authentication(from Source) ([]byte, bool) {
	auth := x.tunnel.auth
	switch {
	case auth == nil:
		return nil, false
	case from == FromChallenge:
		return auth.challenge, auth.challenge != nil
	}
	return auth.response[:], auth.challenged
}

// dialled returns what only a DialConfig asks for.
func (x *composition) dialled(from Source) ([]byte, bool) {
	switch {
	case from == FromTie:
		return binary.BigEndian.AppendUint64(nil, x.tunnel.tie), x.tunnel.tie != 0
	case x.call == nil || x.call.dial == nil:
		return nil, false
	case from == FromSequencing:
		return nil, x.call.dial.Sequencing
	}
	return x.call.dial.Correlation[:], true
}

// appendResult appends the value of a Result Code AVP in one of the ways clients do.
func appendResult(b []byte, from Source, r Result) []byte {
	if from == FromResultSwapped {
		return append(binary.LittleEndian.AppendUint16(b, r.Code), 0, 0, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint16(b, r.Code)
	if from == FromResultCode {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(r.Error))
	if from == FromResultBare {
		return b
	}
	return append(b, r.Message[:min(len(r.Message), maxText)]...)
}

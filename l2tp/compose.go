package l2tp

import (
	"encoding/binary"
	"slices"
)

// source says where the value of an AVP that we send comes from.
type source uint8

const (
	fromNumber16    source = iota // item.number, two octets
	fromNumber32                  // item.number, four octets
	fromText                      // item.text
	fromHost                      // host name
	fromHostNUL                   // host name and a NUL, as Apple sends it
	fromVendor                    // Config.Vendor
	fromFirmware                  // Config.Firmware
	fromTunnel                    // our tunnel ID
	fromCall                      // our call ID
	fromSerial                    // call serial number
	fromWindow                    // our receive window
	fromSpeed                     // DialConfig.TxSpeed, or item.number
	fromResult                    // code, error and message
	fromResultBare                // code and error
	fromResultCode                // code alone
	fromResultApple               // code in little-endian order and six zeros
	fromCorrelation               // sixteen octets
	fromChallenge                 // tunnel authentication; left out without a secret
	fromResponse                  // left out when nobody challenged us
	fromTie                       // left out unless asked for
	fromSequencing                // empty; left out unless asked for
)

// item is one AVP of a message that we send.
type item struct {
	attribute AttributeType
	optional  bool // M bit clear
	from      source
	number    uint32
	text      string
	vendor    uint16
}

func (it item) hideable() bool {
	known, _ := it.attribute.lookup()
	return it.vendor == 0 && known.hideable
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
func (x *composition) compose(kind MessageType, items []item) []byte {
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
func (x *composition) vector(items []item) []byte {
	if !x.tunnel.hide || !slices.ContainsFunc(items, item.hideable) {
		return nil
	}
	v := make([]byte, 16)
	if x.endpoint.random(v) != nil {
		return nil
	}
	return v
}

func (x *composition) appendItem(b []byte, it item, vector []byte) []byte {
	value, ok := x.value(it)
	if !ok {
		return b
	}
	a := AVP{Mandatory: !it.optional, Vendor: it.vendor, Type: it.attribute, Value: value}
	if vector != nil && it.hideable() {
		a.Hidden = true
		a.Value = hideValue(a.Type, x.tunnel.secret(x.endpoint), vector, value)
	}
	return appendAVP(b, a)
}

// value returns the value of the AVP; false: it is left out.
func (x *composition) value(it item) ([]byte, bool) {
	switch it.from {
	case fromText:
		return []byte(it.text), true
	case fromHost:
		return []byte(x.hostName()), true
	case fromHostNUL:
		return append([]byte(x.hostName()), 0), true
	case fromVendor:
		return []byte(x.endpoint.cfg.Vendor), x.endpoint.cfg.Vendor != ""
	case fromChallenge, fromResponse:
		return x.authentication(it.from)
	case fromResult, fromResultBare, fromResultCode, fromResultApple:
		return appendResult(nil, it.from, x.result), true
	case fromCorrelation, fromTie, fromSequencing:
		return x.dialled(it.from)
	}
	n, wide := x.number(it)
	if wide {
		return binary.BigEndian.AppendUint32(nil, n), true
	}
	return binary.BigEndian.AppendUint16(nil, uint16(n)), true
}

// number returns a numeric value and whether it has four octets.
func (x *composition) number(it item) (n uint32, wide bool) {
	switch it.from {
	case fromFirmware:
		return uint32(x.endpoint.cfg.Firmware), false
	case fromTunnel:
		return uint32(x.tunnel.local), false
	case fromCall:
		return uint32(x.call.local), false
	case fromWindow:
		return uint32(x.tunnel.ch.ours), false
	case fromSerial:
		return x.call.serial, true
	case fromSpeed:
		if d := x.call.dial; d != nil && d.TxSpeed != 0 {
			return d.TxSpeed, true
		}
	}
	return it.number, it.from != fromNumber16
}

func (x *composition) hostName() string {
	if d := x.tunnel.dial; d != nil && d.HostName != "" {
		return d.HostName
	}
	if name := x.tunnel.persona.hostName; name != "" {
		return name
	}
	return x.endpoint.cfg.HostName
}

// authentication returns the Challenge or the Challenge Response, where there is one.
func (x *composition) authentication(from source) ([]byte, bool) {
	auth := x.tunnel.auth
	switch {
	case auth == nil:
		return nil, false
	case from == fromChallenge:
		return auth.challenge, auth.challenge != nil
	}
	return auth.response[:], auth.challenged
}

// dialled returns what only a DialConfig asks for.
func (x *composition) dialled(from source) ([]byte, bool) {
	switch {
	case from == fromTie:
		return binary.BigEndian.AppendUint64(nil, x.tunnel.tie), x.tunnel.tie != 0
	case x.call == nil || x.call.dial == nil:
		return nil, false
	case from == fromSequencing:
		return nil, x.call.dial.Sequencing
	}
	return x.call.dial.Correlation[:], true
}

// appendResult appends the value of a Result Code AVP in one of the ways clients do.
func appendResult(b []byte, from source, r Result) []byte {
	if from == fromResultApple {
		return append(binary.LittleEndian.AppendUint16(b, r.Code), 0, 0, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint16(b, r.Code)
	if from == fromResultCode {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(r.Error))
	if from == fromResultBare {
		return b
	}
	return append(b, r.Message[:min(len(r.Message), maxText)]...)
}

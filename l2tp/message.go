package l2tp

import (
	"encoding/binary"
	"strconv"
)

// MessageType is the value of the Message Type AVP (RFC 2661 section 3.2).
type MessageType uint16

// The control messages.
const (
	MessageSCCRQ   MessageType = 1
	MessageSCCRP   MessageType = 2
	MessageSCCCN   MessageType = 3
	MessageStopCCN MessageType = 4
	MessageHELLO   MessageType = 6
	MessageOCRQ    MessageType = 7
	MessageOCRP    MessageType = 8
	MessageOCCN    MessageType = 9
	MessageICRQ    MessageType = 10
	MessageICRP    MessageType = 11
	MessageICCN    MessageType = 12
	MessageCDN     MessageType = 14
	MessageWEN     MessageType = 15
	MessageSLI     MessageType = 16
)

var messageNames = [...]string{
	MessageSCCRQ: "SCCRQ", MessageSCCRP: "SCCRP", MessageSCCCN: "SCCCN", MessageStopCCN: "StopCCN",
	MessageHELLO: "HELLO", MessageOCRQ: "OCRQ", MessageOCRP: "OCRP", MessageOCCN: "OCCN",
	MessageICRQ: "ICRQ", MessageICRP: "ICRP", MessageICCN: "ICCN", MessageCDN: "CDN",
	MessageWEN: "WEN", MessageSLI: "SLI",
}

// String returns the abbreviation of the RFC.
func (t MessageType) String() string {
	if t.known() {
		return messageNames[t]
	}
	return "message " + decimal(uint64(t))
}

func (t MessageType) known() bool {
	return int(t) < len(messageNames) && messageNames[t] != ""
}

// aboutCall says whether the message is about a call and not about the tunnel: a
// fault in it costs the call only (section 4.1).
func (t MessageType) aboutCall() bool { return t >= MessageOCRQ && t <= MessageSLI }

// Message is one control message. A message without AVPs is an acknowledgement
// (ZLB).
type Message struct {
	Header
	AVPs []AVP
}

// MaxAVPs bounds the AVPs of a message that is parsed. The RFC defines 39.
const MaxAVPs = 64

// ParseMessage parses a control message; its AVPs are appended to avps[:0], and their
// values are parts of b. A message that has AVPs begins with its type (section 4.4.1).
func ParseMessage(b []byte, avps []AVP) (Message, error) {
	h, body, err := consumeHeader(b)
	if err != nil {
		return Message{}, err
	}
	m := Message{Header: h, AVPs: avps[:0]}
	for len(body) > 0 {
		if len(m.AVPs) == MaxAVPs {
			return Message{}, ErrTooManyAVPs
		}
		var a AVP
		if a, body, err = consumeAVP(body); err != nil {
			return Message{}, err
		}
		m.AVPs = append(m.AVPs, a)
	}
	if len(m.AVPs) > 0 && !m.AVPs[0].isMessageType() {
		return Message{}, ErrMessageType
	}
	return m, nil
}

// isMessageType: the AVP must not be hidden (section 4.4.1).
func (a AVP) isMessageType() bool {
	return a.Vendor == 0 && a.Type == AttrMessageType && !a.Hidden && len(a.Value) == 2
}

// ZLB says whether the message is an acknowledgement only.
func (m Message) ZLB() bool { return len(m.AVPs) == 0 }

// Type returns the type of the message, 0 for a ZLB.
func (m Message) Type() MessageType {
	if m.ZLB() {
		return 0
	}
	return MessageType(binary.BigEndian.Uint16(m.AVPs[0].Value))
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

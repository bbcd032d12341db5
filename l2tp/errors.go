package l2tp

import "errors"

// What Input, Dial, the parsers and the closing verbs return. Each names one
// cause, so that the owner can count by errors.Is.
var (
	ErrShort         = errors.New("l2tp: packet is shorter than its header says")
	ErrVersion       = errors.New("l2tp: not version 2 of the protocol")
	ErrNotControl    = errors.New("l2tp: not a control message")
	ErrNotData       = errors.New("l2tp: not a data message")
	ErrHeader        = errors.New("l2tp: header bits are not those of a control message")
	ErrLength        = errors.New("l2tp: length field does not fit the packet")
	ErrAVP           = errors.New("l2tp: malformed AVP")
	ErrTooManyAVPs   = errors.New("l2tp: more AVPs than a message may have")
	ErrMessageType   = errors.New("l2tp: the first AVP is not a message type")
	ErrHidden        = errors.New("l2tp: hidden AVP cannot be read")
	ErrMissing       = errors.New("l2tp: a required AVP is missing")
	ErrUnknownTunnel = errors.New("l2tp: no such tunnel")
	ErrUnknownCall   = errors.New("l2tp: no such call")
	ErrSequence      = errors.New("l2tp: sequence number is outside of the receive window")
	ErrTie           = errors.New("l2tp: lost the tie of two simultaneous tunnels")
	ErrStale         = errors.New("l2tp: late repetition of a message that opened a tunnel")
	ErrTooMany       = errors.New("l2tp: no more tunnels or calls are allowed")
	ErrConfig        = errors.New("l2tp: configuration")
)

package wire

import "strconv"

// PayloadType is the type of a payload. 1 to 15 and above 127 are IKEv1's, 33 to
// 53 IKEv2's, so that the two never collide in one chain.
type PayloadType uint8

// Payload types (RFC 2408, section 3.1; RFC 3947; the drafts before it).
const (
	PayloadNone          PayloadType = 0
	PayloadSA            PayloadType = 1
	PayloadProposal      PayloadType = 2
	PayloadTransform     PayloadType = 3
	PayloadKE            PayloadType = 4
	PayloadID            PayloadType = 5
	PayloadCert          PayloadType = 6
	PayloadCertRequest   PayloadType = 7
	PayloadHash          PayloadType = 8
	PayloadSignature     PayloadType = 9
	PayloadNonce         PayloadType = 10
	PayloadNotify        PayloadType = 11
	PayloadDelete        PayloadType = 12
	PayloadVendorID      PayloadType = 13
	PayloadMode          PayloadType = 14  // "Attributes": draft-dukes-ike-mode-cfg-02
	PayloadNATDApple     PayloadType = 15  // NAT-D of drafts 04 to 08 and of Apple's
	PayloadNATD          PayloadType = 20  // RFC 3947
	PayloadNATOA         PayloadType = 21  // RFC 3947
	PayloadNATDDraft     PayloadType = 130 // NAT-D of drafts 00 to 03
	PayloadNATOADraft    PayloadType = 131 // NAT-OA of drafts 00 to 03
	PayloadFragmentation PayloadType = 132 // a piece of a message
)

var payloadNames = map[PayloadType]string{
	PayloadNone: "NONE", PayloadSA: "SA", PayloadProposal: "P", PayloadTransform: "T",
	PayloadKE: "KE", PayloadID: "ID", PayloadCert: "CERT", PayloadCertRequest: "CR",
	PayloadHash: "HASH", PayloadSignature: "SIG", PayloadNonce: "NONCE",
	PayloadNotify: "N", PayloadDelete: "D", PayloadVendorID: "VID",
	PayloadMode: "ATTR", PayloadNATDApple: "NAT-D(15)", PayloadNATD: "NAT-D", PayloadNATOA: "NAT-OA",
	PayloadNATDDraft: "NAT-D(130)", PayloadNATOADraft: "NAT-OA(131)",
	PayloadFragmentation: "FRAG",
}

// String returns the name RFC 2408, RFC 3947 and RFC 7296 use.
func (t PayloadType) String() string {
	if s, ok := payload2Names[t]; ok {
		return s
	}
	return name(payloadNames, t, "payload")
}

// ExchangeType says what order of messages a message belongs to.
type ExchangeType uint8

// Exchange types (RFC 2408, section 3.1; RFC 2409, appendix A).
const (
	ExchangeBase          ExchangeType = 1
	ExchangeMain          ExchangeType = 2 // "Identity Protection"
	ExchangeAuthOnly      ExchangeType = 3
	ExchangeAggressive    ExchangeType = 4
	ExchangeInformational ExchangeType = 5
	ExchangeTransaction   ExchangeType = 6 // mode config and XAUTH
	ExchangeQuick         ExchangeType = 32
	ExchangeNewGroup      ExchangeType = 33
)

var exchangeNames = map[ExchangeType]string{
	ExchangeBase: "Base", ExchangeMain: "Main Mode", ExchangeAuthOnly: "Authentication Only",
	ExchangeAggressive: "Aggressive Mode", ExchangeInformational: "Informational",
	ExchangeTransaction: "Transaction", ExchangeQuick: "Quick Mode", ExchangeNewGroup: "New Group Mode",
}

// String returns the name RFC 2409 and RFC 7296 use.
func (t ExchangeType) String() string {
	if s, ok := exchange2Names[t]; ok {
		return s
	}
	return name(exchangeNames, t, "exchange")
}

// DOI is a domain of interpretation.
type DOI uint32

// Domains of interpretation (RFC 2408, section 2.1; RFC 2407).
const (
	DOIISAKMP DOI = 0
	DOIIPsec  DOI = 1
)

// SituationIdentityOnly is the only situation in use (RFC 2407, section 4.2).
const SituationIdentityOnly uint32 = 1

// ProtocolID is the protocol a proposal, a notify or a delete is about.
type ProtocolID uint8

// Protocol identifiers (RFC 2407, section 4.4.1).
const (
	ProtocolISAKMP ProtocolID = 1
	ProtocolAH     ProtocolID = 2
	ProtocolESP    ProtocolID = 3
	ProtocolIPComp ProtocolID = 4
)

var protocolNames = map[ProtocolID]string{
	ProtocolISAKMP: "ISAKMP", ProtocolAH: "AH", ProtocolESP: "ESP", ProtocolIPComp: "IPCOMP",
}

// String returns the name RFC 2407 uses.
func (p ProtocolID) String() string { return name(protocolNames, p, "protocol") }

// TransformKeyIKE is KEY_IKE, the only transform of phase 1.
const TransformKeyIKE uint8 = 1

// NotifyType is the message of a notify payload. Up to 16383 it reports an error.
type NotifyType uint16

// Notify messages (RFC 2408, section 3.14.1; RFC 2407, section 4.6.3; RFC 3706).
const (
	NotifyInvalidPayloadType     NotifyType = 1
	NotifyDOINotSupported        NotifyType = 2
	NotifySituationNotSupported  NotifyType = 3
	NotifyInvalidCookie          NotifyType = 4
	NotifyInvalidMajorVersion    NotifyType = 5
	NotifyInvalidMinorVersion    NotifyType = 6
	NotifyInvalidExchangeType    NotifyType = 7
	NotifyInvalidFlags           NotifyType = 8
	NotifyInvalidMessageID       NotifyType = 9
	NotifyInvalidProtocolID      NotifyType = 10
	NotifyInvalidSPI             NotifyType = 11
	NotifyInvalidTransformID     NotifyType = 12
	NotifyAttributesNotSupported NotifyType = 13
	NotifyNoProposalChosen       NotifyType = 14
	NotifyBadProposalSyntax      NotifyType = 15
	NotifyPayloadMalformed       NotifyType = 16
	NotifyInvalidKeyInformation  NotifyType = 17
	NotifyInvalidIDInformation   NotifyType = 18
	NotifyInvalidCertEncoding    NotifyType = 19
	NotifyInvalidCertificate     NotifyType = 20
	NotifyCertTypeUnsupported    NotifyType = 21
	NotifyInvalidCertAuthority   NotifyType = 22
	NotifyInvalidHashInformation NotifyType = 23
	NotifyAuthenticationFailed   NotifyType = 24
	NotifyInvalidSignature       NotifyType = 25
	NotifyAddressNotification    NotifyType = 26
	NotifySALifetime             NotifyType = 27
	NotifyCertificateUnavailable NotifyType = 28
	NotifyUnsupportedExchange    NotifyType = 29
	NotifyUnequalPayloadLengths  NotifyType = 30
	NotifyConnected              NotifyType = 16384
	NotifyResponderLifetime      NotifyType = 24576
	NotifyReplayStatus           NotifyType = 24577
	NotifyInitialContact         NotifyType = 24578
	NotifyRUThere                NotifyType = 36136
	NotifyRUThereAck             NotifyType = 36137
)

var notifyNames = map[NotifyType]string{
	NotifyInvalidPayloadType: "INVALID-PAYLOAD-TYPE", NotifyDOINotSupported: "DOI-NOT-SUPPORTED",
	NotifySituationNotSupported: "SITUATION-NOT-SUPPORTED", NotifyInvalidCookie: "INVALID-COOKIE",
	NotifyInvalidMajorVersion: "INVALID-MAJOR-VERSION", NotifyInvalidMinorVersion: "INVALID-MINOR-VERSION",
	NotifyInvalidExchangeType: "INVALID-EXCHANGE-TYPE", NotifyInvalidFlags: "INVALID-FLAGS",
	NotifyInvalidMessageID: "INVALID-MESSAGE-ID", NotifyInvalidProtocolID: "INVALID-PROTOCOL-ID",
	NotifyInvalidSPI: "INVALID-SPI", NotifyInvalidTransformID: "INVALID-TRANSFORM-ID",
	NotifyAttributesNotSupported: "ATTRIBUTES-NOT-SUPPORTED", NotifyNoProposalChosen: "NO-PROPOSAL-CHOSEN",
	NotifyBadProposalSyntax: "BAD-PROPOSAL-SYNTAX", NotifyPayloadMalformed: "PAYLOAD-MALFORMED",
	NotifyInvalidKeyInformation: "INVALID-KEY-INFORMATION", NotifyInvalidIDInformation: "INVALID-ID-INFORMATION",
	NotifyInvalidCertEncoding: "INVALID-CERT-ENCODING", NotifyInvalidCertificate: "INVALID-CERTIFICATE",
	NotifyCertTypeUnsupported: "CERT-TYPE-UNSUPPORTED", NotifyInvalidCertAuthority: "INVALID-CERT-AUTHORITY",
	NotifyInvalidHashInformation: "INVALID-HASH-INFORMATION", NotifyAuthenticationFailed: "AUTHENTICATION-FAILED",
	NotifyInvalidSignature: "INVALID-SIGNATURE", NotifyAddressNotification: "ADDRESS-NOTIFICATION",
	NotifySALifetime: "NOTIFY-SA-LIFETIME", NotifyCertificateUnavailable: "CERTIFICATE-UNAVAILABLE",
	NotifyUnsupportedExchange: "UNSUPPORTED-EXCHANGE-TYPE", NotifyUnequalPayloadLengths: "UNEQUAL-PAYLOAD-LENGTHS",
	NotifyConnected: "CONNECTED", NotifyResponderLifetime: "RESPONDER-LIFETIME",
	NotifyReplayStatus: "REPLAY-STATUS", NotifyInitialContact: "INITIAL-CONTACT",
	NotifyRUThere: "R-U-THERE", NotifyRUThereAck: "R-U-THERE-ACK",
}

// String returns the name RFC 2408, 2407 and 3706 use.
func (t NotifyType) String() string { return name(notifyNames, t, "notify") }

// IsError reports whether the message reports an error (RFC 2408, section 3.14.1).
func (t NotifyType) IsError() bool { return t > 0 && t < 16384 }

// AttributeType is the type of a data attribute. Phase 1 (RFC 2409, appendix A)
// and the IPsec DOI (RFC 2407, section 4.5) number theirs independently.
type AttributeType uint16

// Attributes of a phase 1 transform (RFC 2409, appendix A).
const (
	AttributeEncryption   AttributeType = 1
	AttributeHash         AttributeType = 2
	AttributeAuth         AttributeType = 3
	AttributeGroup        AttributeType = 4
	AttributeGroupType    AttributeType = 5
	AttributeLifeType     AttributeType = 11
	AttributeLifeDuration AttributeType = 12
	AttributePRF          AttributeType = 13
	AttributeKeyLength    AttributeType = 14
)

// Attributes of an ESP or AH transform (RFC 2407, section 4.5; RFC 4304).
const (
	AttributeSALifeType       AttributeType = 1
	AttributeSALifeDuration   AttributeType = 2
	AttributeGroupDescription AttributeType = 3
	AttributeEncapsulation    AttributeType = 4
	AttributeAuthentication   AttributeType = 5
	AttributeESPKeyLength     AttributeType = 6
	AttributeExtendedSequence AttributeType = 11
)

// IDType is the type of an identification payload.
type IDType uint8

// Identification types (RFC 2407, section 4.6.2.1).
const (
	IDIPv4Addr       IDType = 1
	IDFQDN           IDType = 2
	IDUserFQDN       IDType = 3
	IDIPv4AddrSubnet IDType = 4
	IDIPv6Addr       IDType = 5
	IDIPv6AddrSubnet IDType = 6
	IDIPv4AddrRange  IDType = 7
	IDIPv6AddrRange  IDType = 8
	IDDERASN1DN      IDType = 9
	IDDERASN1GN      IDType = 10
	IDKeyID          IDType = 11
)

var idNames = map[IDType]string{
	IDIPv4Addr: "ID_IPV4_ADDR", IDFQDN: "ID_FQDN", IDUserFQDN: "ID_USER_FQDN",
	IDIPv4AddrSubnet: "ID_IPV4_ADDR_SUBNET", IDIPv6Addr: "ID_IPV6_ADDR",
	IDIPv6AddrSubnet: "ID_IPV6_ADDR_SUBNET", IDIPv4AddrRange: "ID_IPV4_ADDR_RANGE",
	IDIPv6AddrRange: "ID_IPV6_ADDR_RANGE", IDDERASN1DN: "ID_DER_ASN1_DN",
	IDDERASN1GN: "ID_DER_ASN1_GN", IDKeyID: "ID_KEY_ID",
}

// String returns the name RFC 2407 uses.
func (t IDType) String() string { return name(idNames, t, "id") }

// CertEncoding is the encoding of a certificate.
type CertEncoding uint8

// Certificate encodings (RFC 2408, section 3.9).
const (
	CertPKCS7         CertEncoding = 1
	CertX509Signature CertEncoding = 4
	CertX509CRL       CertEncoding = 7
)

func name[T ~uint8 | ~uint16 | ~uint32](names map[T]string, v T, kind string) string {
	if s, ok := names[v]; ok {
		return s
	}
	return kind + " " + strconv.FormatUint(uint64(v), 10)
}

package wire

// Payload types of IKEv2 (RFC 7296, section 3.2; RFC 7383; RFC 9242).
const (
	PayloadSA2         PayloadType = 33
	PayloadKE2         PayloadType = 34
	PayloadIDi         PayloadType = 35
	PayloadIDr         PayloadType = 36
	PayloadCert2       PayloadType = 37
	PayloadCertReq2    PayloadType = 38
	PayloadAuth        PayloadType = 39
	PayloadNonce2      PayloadType = 40
	PayloadNotify2     PayloadType = 41
	PayloadDelete2     PayloadType = 42
	PayloadVendorID2   PayloadType = 43
	PayloadTSi         PayloadType = 44
	PayloadTSr         PayloadType = 45
	PayloadSK          PayloadType = 46 // "Encrypted and Authenticated"
	PayloadCP          PayloadType = 47
	PayloadEAP         PayloadType = 48
	PayloadGSPM        PayloadType = 49 // named, never understood (RFC 6467)
	PayloadPuzzle      PayloadType = 54 // likewise (RFC 8019)
	PayloadPuzzleReply PayloadType = 55 // likewise
	PayloadSKF         PayloadType = 53 // a fragment, encrypted (RFC 7383)
)

// Exchange types of IKEv2 (RFC 7296, section 3.1; RFC 5723, 9242, 9370).
const (
	ExchangeSAInit         ExchangeType = 34
	ExchangeAuth           ExchangeType = 35
	ExchangeCreateChild    ExchangeType = 36
	ExchangeInformational2 ExchangeType = 37
	ExchangeResume         ExchangeType = 38 // never understood
	ExchangeIntermediate   ExchangeType = 43
	ExchangeFollowupKE     ExchangeType = 44
)

// Flags of IKEv2 (RFC 7296, section 3.1).
const (
	FlagInitiator     Flags = 1 << 3 // the sender is the original initiator of the IKE SA
	FlagHigherVersion Flags = 1 << 4
	FlagResponse      Flags = 1 << 5
)

// ProtocolIKE is the protocol of an IKE SA in IKEv2's proposals and deletes.
const ProtocolIKE = ProtocolISAKMP

// TransformType is the type of a transform of IKEv2.
type TransformType uint8

// Transform types (RFC 7296, section 3.3.2; RFC 9370).
const (
	TransformENCR   TransformType = 1
	TransformPRF    TransformType = 2
	TransformINTEG  TransformType = 3
	TransformKE     TransformType = 4 // "Diffie-Hellman Group"
	TransformESN    TransformType = 5
	TransformADDKE1 TransformType = 6 // up to ADDKE7, 12
	TransformADDKE7 TransformType = 12
)

// Attribute2KeyLength is the only attribute of IKEv2's transforms: the length of
// a cipher's key in bits (RFC 7296, section 3.3.5).
const Attribute2KeyLength AttributeType = 14

// AuthMethod2 is the method of an AUTH payload.
type AuthMethod2 uint8

// Authentication methods (RFC 7296, section 3.8; RFC 4754; RFC 7427).
const (
	AuthRSA      AuthMethod2 = 1 // RSASSA-PKCS1-v1_5, with SHA-1 in practice
	AuthShared   AuthMethod2 = 2 // shared key message integrity code
	AuthDSS      AuthMethod2 = 3 // never used
	AuthECDSA256 AuthMethod2 = 9
	AuthECDSA384 AuthMethod2 = 10
	AuthECDSA512 AuthMethod2 = 11
	AuthNULL     AuthMethod2 = 13 // never accepted
	AuthDigital  AuthMethod2 = 14 // RFC 7427
)

var authMethodNames = map[AuthMethod2]string{
	AuthRSA: "RSA", AuthShared: "PSK", AuthDSS: "DSS", AuthECDSA256: "ECDSA-256",
	AuthECDSA384: "ECDSA-384", AuthECDSA512: "ECDSA-521", AuthNULL: "NULL", AuthDigital: "DIGITAL-SIGNATURE",
}

// String returns a short name.
func (m AuthMethod2) String() string { return name(authMethodNames, m, "auth method") }

// Certificate encodings that IKEv2 adds to those of IKEv1 (RFC 7296, section 3.6).
const (
	CertOCSP        CertEncoding = 14 // RFC 4806
	CertHashAndURL  CertEncoding = 12 // never fetched
	CertHashAndURLs CertEncoding = 13 // likewise
)

// ConfigType is the type of a configuration payload.
type ConfigType uint8

// Configuration types (RFC 7296, section 3.15).
const (
	ConfigRequest ConfigType = 1
	ConfigReply   ConfigType = 2
	ConfigSet     ConfigType = 3
	ConfigAck     ConfigType = 4
)

// ConfigAttributeType is the type of an attribute of a configuration payload.
type ConfigAttributeType uint16

// Configuration attributes (RFC 7296, section 3.15.1; RFC 8598; Microsoft's).
const (
	ConfigIP4Address    ConfigAttributeType = 1
	ConfigIP4Netmask    ConfigAttributeType = 2
	ConfigIP4DNS        ConfigAttributeType = 3
	ConfigIP4NBNS       ConfigAttributeType = 4
	ConfigIP4DHCP       ConfigAttributeType = 6
	ConfigVersion       ConfigAttributeType = 7 // APPLICATION_VERSION
	ConfigIP6Address    ConfigAttributeType = 8
	ConfigIP6DNS        ConfigAttributeType = 10
	ConfigIP6DHCP       ConfigAttributeType = 12
	ConfigIP4Subnet     ConfigAttributeType = 13
	ConfigSupported     ConfigAttributeType = 14 // SUPPORTED_ATTRIBUTES
	ConfigIP6Subnet     ConfigAttributeType = 15
	ConfigIP6Prefix     ConfigAttributeType = 18
	ConfigDNSDomain     ConfigAttributeType = 25    // INTERNAL_DNS_DOMAIN
	ConfigDNSSECTA      ConfigAttributeType = 26    // INTERNAL_DNSSEC_TA
	ConfigMicrosoftSRV4 ConfigAttributeType = 23456 // INTERNAL_IP4_SERVER
	ConfigMicrosoftSRV6 ConfigAttributeType = 23457 // INTERNAL_IP6_SERVER
)

var configNames = map[ConfigAttributeType]string{
	ConfigIP4Address: "ADDR", ConfigIP4Netmask: "MASK", ConfigIP4DNS: "DNS", ConfigIP4NBNS: "NBNS",
	ConfigIP4DHCP: "DHCP", ConfigVersion: "VER", ConfigIP6Address: "ADDR6", ConfigIP6DNS: "DNS6",
	ConfigIP6DHCP: "DHCP6", ConfigIP4Subnet: "SUBNET", ConfigSupported: "SUP", ConfigIP6Subnet: "SUBNET6",
	ConfigIP6Prefix: "PREFIX6", ConfigDNSDomain: "DOMAIN", ConfigDNSSECTA: "DNSSECTA",
	ConfigMicrosoftSRV4: "SRV", ConfigMicrosoftSRV6: "SRV6",
}

// String returns a short name, such as ADDR or DNS6.
func (t ConfigAttributeType) String() string { return name(configNames, t, "attribute") }

// payload2Names are what logs of IKEv2 call the payloads.
var payload2Names = map[PayloadType]string{
	PayloadSA2: "SA", PayloadKE2: "KE", PayloadIDi: "IDi", PayloadIDr: "IDr", PayloadCert2: "CERT",
	PayloadCertReq2: "CERTREQ", PayloadAuth: "AUTH", PayloadNonce2: "No", PayloadNotify2: "N",
	PayloadDelete2: "D", PayloadVendorID2: "V", PayloadTSi: "TSi", PayloadTSr: "TSr", PayloadSK: "SK",
	PayloadCP: "CP", PayloadEAP: "EAP", PayloadGSPM: "GSPM", PayloadSKF: "SKF",
	PayloadPuzzle: "PS", PayloadPuzzleReply: "PSR",
}

var exchange2Names = map[ExchangeType]string{
	ExchangeSAInit: "IKE_SA_INIT", ExchangeAuth: "IKE_AUTH", ExchangeCreateChild: "CREATE_CHILD_SA",
	ExchangeInformational2: "INFORMATIONAL", ExchangeResume: "IKE_SESSION_RESUME",
	ExchangeIntermediate: "IKE_INTERMEDIATE", ExchangeFollowupKE: "IKE_FOLLOWUP_KE",
}

// Known2 reports whether t is a payload of IKEv2 that this package reads. A
// payload that is not known and is critical refuses the message (RFC 7296,
// section 2.5).
func (t PayloadType) Known2() bool {
	return t >= PayloadSA2 && t <= PayloadEAP || t == PayloadSKF
}

// UnknownCritical returns the first payload of a chain that is critical and not
// known: UNSUPPORTED_CRITICAL_PAYLOAD carries its type.
func UnknownCritical(chain []Payload) (PayloadType, bool) {
	for _, p := range chain {
		if p.Critical && !p.Type.Known2() {
			return p.Type, true
		}
	}
	return 0, false
}

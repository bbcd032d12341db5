package wire

// Notify2Type is the message of an IKEv2 notify payload. Up to 16383 it reports
// an error.
type Notify2Type uint16

// Notify messages that report errors (RFC 7296, section 3.10.1; RFC 4555, 5685,
// 8598, 9370).
const (
	Notify2UnsupportedCriticalPayload Notify2Type = 1
	Notify2InvalidIKESPI              Notify2Type = 4
	Notify2InvalidMajorVersion        Notify2Type = 5
	Notify2InvalidSyntax              Notify2Type = 7
	Notify2InvalidMessageID           Notify2Type = 9
	Notify2InvalidSPI                 Notify2Type = 11
	Notify2NoProposalChosen           Notify2Type = 14
	Notify2InvalidKEPayload           Notify2Type = 17
	Notify2AuthenticationFailed       Notify2Type = 24
	Notify2SinglePairRequired         Notify2Type = 34
	Notify2NoAdditionalSAs            Notify2Type = 35
	Notify2InternalAddressFailure     Notify2Type = 36
	Notify2FailedCPRequired           Notify2Type = 37
	Notify2TSUnacceptable             Notify2Type = 38
	Notify2InvalidSelectors           Notify2Type = 39
	Notify2UnacceptableAddresses      Notify2Type = 40
	Notify2UnexpectedNATDetected      Notify2Type = 41
	Notify2TemporaryFailure           Notify2Type = 43
	Notify2ChildSANotFound            Notify2Type = 44
	Notify2StateNotFound              Notify2Type = 47 // RFC 9370
	Notify2MSStatus                   Notify2Type = 12345
)

// Notify messages that report status (RFC 7296, section 3.10.1, and the RFCs
// named beside them).
const (
	Notify2InitialContact           Notify2Type = 16384
	Notify2SetWindowSize            Notify2Type = 16385
	Notify2AdditionalTSPossible     Notify2Type = 16386
	Notify2IPCompSupported          Notify2Type = 16387
	Notify2NATDetectionSource       Notify2Type = 16388
	Notify2NATDetectionDestination  Notify2Type = 16389
	Notify2Cookie                   Notify2Type = 16390
	Notify2UseTransportMode         Notify2Type = 16391
	Notify2HTTPCertLookup           Notify2Type = 16392
	Notify2RekeySA                  Notify2Type = 16393
	Notify2NoTFCPadding             Notify2Type = 16394 // ESP_TFC_PADDING_NOT_SUPPORTED
	Notify2NonFirstFragmentsAlso    Notify2Type = 16395
	Notify2MobikeSupported          Notify2Type = 16396 // RFC 4555
	Notify2AdditionalIPv4           Notify2Type = 16397 // RFC 4555
	Notify2AdditionalIPv6           Notify2Type = 16398 // RFC 4555
	Notify2NoAdditionalAddresses    Notify2Type = 16399 // RFC 4555
	Notify2UpdateSAAddresses        Notify2Type = 16400 // RFC 4555
	Notify2Cookie2                  Notify2Type = 16401 // RFC 4555
	Notify2NoNATsAllowed            Notify2Type = 16402 // RFC 4555
	Notify2AuthLifetime             Notify2Type = 16403 // RFC 4478
	Notify2MultipleAuthSupported    Notify2Type = 16404 // RFC 4739
	Notify2AnotherAuthFollows       Notify2Type = 16405 // RFC 4739
	Notify2RedirectSupported        Notify2Type = 16406 // RFC 5685
	Notify2Redirect                 Notify2Type = 16407 // RFC 5685
	Notify2RedirectedFrom           Notify2Type = 16408 // RFC 5685
	Notify2EAPOnly                  Notify2Type = 16417 // RFC 5998
	Notify2ChildlessSupported       Notify2Type = 16418 // RFC 6023
	Notify2FragmentationSupported   Notify2Type = 16430 // RFC 7383
	Notify2SignatureHashAlgorithms  Notify2Type = 16431 // RFC 7427
	Notify2UsePPK                   Notify2Type = 16435 // RFC 8784
	Notify2PPKIdentity              Notify2Type = 16436 // RFC 8784
	Notify2NoPPKAuth                Notify2Type = 16437 // RFC 8784
	Notify2IntermediateSupported    Notify2Type = 16438 // RFC 9242
	Notify2IP4Allowed               Notify2Type = 16439 // RFC 8983
	Notify2IP6Allowed               Notify2Type = 16440 // RFC 8983
	Notify2AdditionalKeyExchange    Notify2Type = 16441 // RFC 9370
	Notify2UseAggfrag               Notify2Type = 16442 // RFC 9347
	Notify2SupportedAuthMethods     Notify2Type = 16443 // RFC 9593
	Notify2SAResourceInfo           Notify2Type = 16444 // RFC 9611
	Notify2MSPrivateInitialContact  Notify2Type = 40960
	Notify2MSPrivateTunnelInterface Notify2Type = 40961
)

var notify2Names = map[Notify2Type]string{
	Notify2UnsupportedCriticalPayload: "UNSUPPORTED_CRITICAL_PAYLOAD", Notify2InvalidIKESPI: "INVALID_IKE_SPI",
	Notify2InvalidMajorVersion: "INVALID_MAJOR_VERSION", Notify2InvalidSyntax: "INVALID_SYNTAX",
	Notify2InvalidMessageID: "INVALID_MESSAGE_ID", Notify2InvalidSPI: "INVALID_SPI",
	Notify2NoProposalChosen: "NO_PROPOSAL_CHOSEN", Notify2InvalidKEPayload: "INVALID_KE_PAYLOAD",
	Notify2AuthenticationFailed: "AUTHENTICATION_FAILED", Notify2SinglePairRequired: "SINGLE_PAIR_REQUIRED",
	Notify2NoAdditionalSAs: "NO_ADDITIONAL_SAS", Notify2InternalAddressFailure: "INTERNAL_ADDRESS_FAILURE",
	Notify2FailedCPRequired: "FAILED_CP_REQUIRED", Notify2TSUnacceptable: "TS_UNACCEPTABLE",
	Notify2InvalidSelectors: "INVALID_SELECTORS", Notify2UnacceptableAddresses: "UNACCEPTABLE_ADDRESSES",
	Notify2UnexpectedNATDetected: "UNEXPECTED_NAT_DETECTED", Notify2TemporaryFailure: "TEMPORARY_FAILURE",
	Notify2ChildSANotFound: "CHILD_SA_NOT_FOUND", Notify2StateNotFound: "STATE_NOT_FOUND", Notify2MSStatus: "MS_STATUS",
	Notify2InitialContact: "INITIAL_CONTACT", Notify2SetWindowSize: "SET_WINDOW_SIZE",
	Notify2AdditionalTSPossible: "ADDITIONAL_TS_POSSIBLE", Notify2IPCompSupported: "IPCOMP_SUPPORTED",
	Notify2NATDetectionSource: "NAT_DETECTION_SOURCE_IP", Notify2NATDetectionDestination: "NAT_DETECTION_DESTINATION_IP",
	Notify2Cookie: "COOKIE", Notify2UseTransportMode: "USE_TRANSPORT_MODE", Notify2HTTPCertLookup: "HTTP_CERT_LOOKUP_SUPPORTED",
	Notify2RekeySA: "REKEY_SA", Notify2NoTFCPadding: "ESP_TFC_PADDING_NOT_SUPPORTED",
	Notify2NonFirstFragmentsAlso: "NON_FIRST_FRAGMENTS_ALSO", Notify2MobikeSupported: "MOBIKE_SUPPORTED",
	Notify2AdditionalIPv4: "ADDITIONAL_IP4_ADDRESS", Notify2AdditionalIPv6: "ADDITIONAL_IP6_ADDRESS",
	Notify2NoAdditionalAddresses: "NO_ADDITIONAL_ADDRESSES", Notify2UpdateSAAddresses: "UPDATE_SA_ADDRESSES",
	Notify2Cookie2: "COOKIE2", Notify2NoNATsAllowed: "NO_NATS_ALLOWED", Notify2AuthLifetime: "AUTH_LIFETIME",
	Notify2MultipleAuthSupported: "MULTIPLE_AUTH_SUPPORTED", Notify2AnotherAuthFollows: "ANOTHER_AUTH_FOLLOWS",
	Notify2RedirectSupported: "REDIRECT_SUPPORTED", Notify2Redirect: "REDIRECT", Notify2RedirectedFrom: "REDIRECTED_FROM",
	Notify2EAPOnly: "EAP_ONLY_AUTHENTICATION", Notify2ChildlessSupported: "CHILDLESS_IKEV2_SUPPORTED",
	Notify2FragmentationSupported: "IKEV2_FRAGMENTATION_SUPPORTED", Notify2SignatureHashAlgorithms: "SIGNATURE_HASH_ALGORITHMS",
	Notify2UsePPK: "USE_PPK", Notify2PPKIdentity: "PPK_IDENTITY", Notify2NoPPKAuth: "NO_PPK_AUTH",
	Notify2IntermediateSupported: "INTERMEDIATE_EXCHANGE_SUPPORTED", Notify2IP4Allowed: "IP4_ALLOWED", Notify2IP6Allowed: "IP6_ALLOWED",
	Notify2AdditionalKeyExchange: "ADDITIONAL_KEY_EXCHANGE", Notify2UseAggfrag: "USE_AGGFRAG",
	Notify2SupportedAuthMethods: "SUPPORTED_AUTH_METHODS", Notify2SAResourceInfo: "SA_RESOURCE_INFO",
	Notify2MSPrivateInitialContact: "MS_INITIAL_CONTACT", Notify2MSPrivateTunnelInterface: "MS_TUNNEL_INTERFACE",
}

// String returns the name the RFCs use.
func (t Notify2Type) String() string { return name(notify2Names, t, "notify") }

// IsError reports whether the message reports an error (RFC 7296, section
// 3.10.1). Microsoft's 12345 is one.
func (t Notify2Type) IsError() bool { return t > 0 && t < 16384 }

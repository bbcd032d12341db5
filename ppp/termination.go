package ppp

import "encoding/binary"

// The data of the Terminate-Request of Windows tells why, in LCP and the network
// protocols alike:
//
//	| magic number 4 | 00 3c cd 74 | error 4, as the user sees it |
const (
	terminationSign = 0x003ccd74
	terminationLen  = 12
)

func appendTermination(b []byte, magic uint32, code int) []byte {
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint32(b, terminationSign)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// terminationReason reads the data of a Terminate-Request: Windows' number and what it
// means, or what the peer wrote.
func terminationReason(data []byte) (code int, words string) {
	if len(data) == terminationLen && binary.BigEndian.Uint32(data[4:]) == terminationSign {
		code = int(binary.BigEndian.Uint32(data[8:]) & 0x7fffffff)
		return code, rasWords(code)
	}
	words, _ = printable(data[:min(len(data), 80)])
	return 0, words
}

// rasWords says in words what an error number of Windows' remote access means.
func rasWords(code int) string {
	switch code {
	case 0:
		return "the user disconnected"
	case 619, 628, 629:
		return "the connection was closed"
	case 631:
		return "the user disconnected the port"
	case 646:
		return "not permitted at this time of day"
	case 647:
		return "the account is disabled"
	case 648:
		return "the password has expired"
	case 649:
		return "no permission to dial in"
	case 691:
		return "user name or password refused"
	case 718, 721:
		return "PPP got no answer"
	case 719:
		return "ended by the remote computer"
	case 720:
		return "no PPP control protocol could be configured"
	case 732:
		return "PPP negotiation does not converge"
	case 733:
		return "the server does not speak the network protocol"
	case 734:
		return "the client insists on another authentication protocol"
	case 735:
		return "the requested address was rejected"
	case 737:
		return "loopback detected"
	case 738:
		return "no address was assigned"
	case 741, 742:
		return "the client demands encryption that the server does not offer"
	case 778:
		return "the server did not prove that it knows the password"
	case 812:
		return "refused by the server's policy"
	}
	return "see the error number"
}

package persona

import (
	"time"

	"github.com/culvert-vpn/culvert/l2tp"
)

// The clients, as recorded or read in their published source. Where a list says
// optional, the M bit is clear.

var windows7 = windows(0x0601)
var windows10 = windows(0x0a00)

// windows: the rasl2tp of Windows 7 to 11. It counts tunnels from 1 since boot, and
// marks its vendor AVP, the correlation identifier of MS-L2TPIE, as optional.
func windows(firmware uint32) l2tp.Persona {
	return l2tp.Persona{
		Window:     8,
		TunnelIDs:  l2tp.NumberCounting,
		CallIDs:    l2tp.NumberCounting,
		Serials:    l2tp.NumberZero,
		Challenge:  16,
		Retransmit: l2tp.Retransmit{Initial: time.Second, Limit: 8 * time.Second, Tries: 5},
		Timeout:    35 * time.Second,
		Hello:      40 * time.Second,
		StopCode:   l2tp.StopClear,
		SCCRQ: []l2tp.Item{
			{Attribute: l2tp.AttrProtocolVersion, Number: l2tp.ProtocolVersion},
			{Attribute: l2tp.AttrFramingCapabilities, From: l2tp.FromNumber32, Number: l2tp.FramingSync},
			{Attribute: l2tp.AttrBearerCapabilities, From: l2tp.FromNumber32},
			{Attribute: l2tp.AttrFirmwareRevision, Optional: true, Number: firmware},
			{Attribute: l2tp.AttrHostName, From: l2tp.FromHost},
			{Attribute: l2tp.AttrVendorName, Optional: true, From: l2tp.FromText, Text: "Microsoft"},
			{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
			{Attribute: l2tp.AttrReceiveWindow, From: l2tp.FromWindow},
			{Attribute: l2tp.AttrChallenge, From: l2tp.FromChallenge},
		},
		SCCCN: []l2tp.Item{{Attribute: l2tp.AttrChallengeResponse, From: l2tp.FromResponse}},
		ICRQ: []l2tp.Item{
			{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
			{Attribute: l2tp.AttrCallSerial, From: l2tp.FromSerial},
			{Attribute: l2tp.AttrBearerType, Optional: true, From: l2tp.FromNumber32, Number: bearerAnalog},
			{Attribute: 1, Optional: true, From: l2tp.FromCorrelation, Vendor: vendorMicrosoft},
		},
		ICCN: []l2tp.Item{
			{Attribute: l2tp.AttrTxSpeed, From: l2tp.FromSpeed, Number: 100_000_000},
			{Attribute: l2tp.AttrFramingType, From: l2tp.FromNumber32, Number: l2tp.FramingSync},
			{Attribute: l2tp.AttrProxyAuthenType, Optional: true, Number: 4},
		},
		CDN: []l2tp.Item{
			{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
			{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultBare},
		},
		StopCCN: []l2tp.Item{
			{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
			{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultBare},
		},
	}
}

// apple: the L2TP plug-in of pppd on macOS and iOS. Its burst of HELLOs makes the kernel
// ask for a security association; its call ID is the process number of pppd.
var apple = l2tp.Persona{
	Window:     4,
	TunnelIDs:  l2tp.NumberCounting,
	CallIDs:    l2tp.NumberProcess,
	Serials:    l2tp.NumberOne,
	Hellos:     11,
	Retransmit: l2tp.Retransmit{Initial: time.Second, Limit: 4 * time.Second, Tries: 9},
	Timeout:    20 * time.Second,
	StopCode:   l2tp.StopClear,
	SCCRQ: []l2tp.Item{
		{Attribute: l2tp.AttrProtocolVersion, Number: l2tp.ProtocolVersion},
		{Attribute: l2tp.AttrFramingCapabilities, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
		{Attribute: l2tp.AttrHostName, From: l2tp.FromHostNUL},
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrReceiveWindow, From: l2tp.FromWindow},
	},
	ICRQ: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
		{Attribute: l2tp.AttrCallSerial, From: l2tp.FromSerial},
	},
	ICCN: []l2tp.Item{
		{Attribute: l2tp.AttrTxSpeed, From: l2tp.FromSpeed, Number: 1_000_000},
		{Attribute: l2tp.AttrFramingType, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
	},
	CDN: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultSwapped},
	},
	StopCCN: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultSwapped},
	},
}

// android: mtpd of Android 2 to 12. Its windows are 1, it repeats every two seconds, and
// it goes on only when the last message was acknowledged.
var android = l2tp.Persona{
	HostName:   "anonymous",
	Window:     1,
	Challenge:  32,
	WaitAck:    true,
	StopOnly:   true,
	Retransmit: l2tp.Retransmit{Initial: 2 * time.Second, Limit: 2 * time.Second, Tries: 40},
	Timeout:    60 * time.Second,
	StopCode:   l2tp.StopShutdown,
	SCCRQ: []l2tp.Item{
		{Attribute: l2tp.AttrProtocolVersion, Number: l2tp.ProtocolVersion},
		{Attribute: l2tp.AttrHostName, From: l2tp.FromHost},
		{Attribute: l2tp.AttrFramingCapabilities, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrReceiveWindow, From: l2tp.FromWindow},
		{Attribute: l2tp.AttrChallenge, From: l2tp.FromChallenge},
	},
	SCCCN: []l2tp.Item{{Attribute: l2tp.AttrChallengeResponse, From: l2tp.FromResponse}},
	ICRQ: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
		{Attribute: l2tp.AttrCallSerial, From: l2tp.FromSerial},
	},
	ICCN: []l2tp.Item{
		{Attribute: l2tp.AttrTxSpeed, From: l2tp.FromSpeed, Number: 100_000_000},
		{Attribute: l2tp.AttrFramingType, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
	},
	CDN: []l2tp.Item{
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultBare},
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
	},
	StopCCN: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultCode},
	},
}

var networkManager = xl2tpd("", 8, 100_000_000)
var chromeos = xl2tpd("localhost", 4, 1_000_000)

// xl2tpd: xl2tpd 1.3 with the window and speed that its front end configures.
func xl2tpd(host string, window uint16, speed uint32) l2tp.Persona {
	return l2tp.Persona{
		HostName:   host,
		Window:     window,
		Serials:    l2tp.NumberCounting,
		Challenge:  16,
		Retransmit: l2tp.Retransmit{Initial: time.Second, Limit: 16 * time.Second, Tries: 5},
		Timeout:    60 * time.Second,
		Hello:      60 * time.Second,
		StopCode:   l2tp.StopClear,
		SCCRQ: []l2tp.Item{
			{Attribute: l2tp.AttrProtocolVersion, Number: l2tp.ProtocolVersion},
			{Attribute: l2tp.AttrFramingCapabilities, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
			{Attribute: l2tp.AttrBearerCapabilities, From: l2tp.FromNumber32},
			{Attribute: l2tp.AttrFirmwareRevision, Optional: true, Number: 0x0690},
			{Attribute: l2tp.AttrHostName, From: l2tp.FromHost},
			{Attribute: l2tp.AttrVendorName, Optional: true, From: l2tp.FromText, Text: "xelerance.com"},
			{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
			{Attribute: l2tp.AttrReceiveWindow, From: l2tp.FromWindow},
			{Attribute: l2tp.AttrChallenge, From: l2tp.FromChallenge},
		},
		SCCCN: []l2tp.Item{{Attribute: l2tp.AttrChallengeResponse, From: l2tp.FromResponse}},
		ICRQ: []l2tp.Item{
			{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
			{Attribute: l2tp.AttrCallSerial, From: l2tp.FromSerial},
			{Attribute: l2tp.AttrBearerType, From: l2tp.FromNumber32},
		},
		ICCN: []l2tp.Item{
			{Attribute: l2tp.AttrTxSpeed, From: l2tp.FromSpeed, Number: speed},
			{Attribute: l2tp.AttrFramingType, From: l2tp.FromNumber32, Number: l2tp.FramingSync},
			{Attribute: l2tp.AttrRxSpeed, Optional: true, From: l2tp.FromSpeed, Number: speed},
		},
		CDN: []l2tp.Item{
			{Attribute: l2tp.AttrResultCode, From: l2tp.FromResult},
			{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
		},
		StopCCN: []l2tp.Item{
			{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
			{Attribute: l2tp.AttrResultCode, From: l2tp.FromResult},
		},
	}
}

// mikrotik: RouterOS. Only its SCCRQ is recorded; the others carry what the RFC demands.
var mikrotik = l2tp.Persona{
	HostName:   "MikroTik",
	Window:     4,
	Serials:    l2tp.NumberCounting,
	Challenge:  16,
	Retransmit: l2tp.Retransmit{Initial: time.Second, Limit: 8 * time.Second, Tries: 5},
	Timeout:    60 * time.Second,
	Hello:      60 * time.Second,
	StopCode:   l2tp.StopShutdown,
	SCCRQ: []l2tp.Item{
		{Attribute: l2tp.AttrProtocolVersion, Number: l2tp.ProtocolVersion},
		{Attribute: l2tp.AttrFramingCapabilities, From: l2tp.FromNumber32, Number: l2tp.FramingSync},
		{Attribute: l2tp.AttrBearerCapabilities, From: l2tp.FromNumber32},
		{Attribute: l2tp.AttrFirmwareRevision, Optional: true, Number: 1},
		{Attribute: l2tp.AttrHostName, From: l2tp.FromHost},
		{Attribute: l2tp.AttrVendorName, Optional: true, From: l2tp.FromText, Text: "MikroTik"},
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrReceiveWindow, From: l2tp.FromWindow},
		{Attribute: l2tp.AttrChallenge, From: l2tp.FromChallenge},
	},
	SCCCN: []l2tp.Item{{Attribute: l2tp.AttrChallengeResponse, From: l2tp.FromResponse}},
	ICRQ: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
		{Attribute: l2tp.AttrCallSerial, From: l2tp.FromSerial},
	},
	ICCN: []l2tp.Item{
		{Attribute: l2tp.AttrTxSpeed, From: l2tp.FromSpeed, Number: 100_000_000},
		{Attribute: l2tp.AttrFramingType, From: l2tp.FromNumber32, Number: l2tp.FramingSync},
	},
	CDN: []l2tp.Item{
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultBare},
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
	},
	StopCCN: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResultBare},
	},
}

// kl2tpd: the daemon of go-l2tp. It names no receive window.
var kl2tpd = l2tp.Persona{
	Window:     4,
	Serials:    l2tp.NumberCounting,
	Retransmit: l2tp.Retransmit{Initial: time.Second, Limit: 4 * time.Second, Tries: 3},
	Timeout:    60 * time.Second,
	StopCode:   l2tp.StopClear,
	SCCRQ: []l2tp.Item{
		{Attribute: l2tp.AttrProtocolVersion, Number: l2tp.ProtocolVersion},
		{Attribute: l2tp.AttrHostName, From: l2tp.FromHost},
		{Attribute: l2tp.AttrFramingCapabilities, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
	},
	ICRQ: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
		{Attribute: l2tp.AttrCallSerial, From: l2tp.FromSerial},
	},
	ICCN: []l2tp.Item{
		{Attribute: l2tp.AttrTxSpeed, From: l2tp.FromSpeed},
		{Attribute: l2tp.AttrFramingType, From: l2tp.FromNumber32, Number: l2tp.FramingBoth},
	},
	CDN: []l2tp.Item{
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResult},
		{Attribute: l2tp.AttrAssignedCall, From: l2tp.FromCall},
	},
	StopCCN: []l2tp.Item{
		{Attribute: l2tp.AttrAssignedTunnel, From: l2tp.FromTunnel},
		{Attribute: l2tp.AttrResultCode, From: l2tp.FromResult},
	},
}

const (
	bearerAnalog    = 2
	vendorMicrosoft = 311
)

package l2tp

import "time"

// The clients, as recorded or read in their published source. Where a list says
// optional, the M bit is clear.

var windows7 = windows("windows7", 0x0601)
var windows10 = windows("windows10", 0x0a00)

// windows: the rasl2tp of Windows 7 to 11. It counts tunnels from 1 since boot, and
// marks its vendor AVP, the correlation identifier of MS-L2TPIE, as optional.
func windows(name string, firmware uint32) persona {
	return persona{
		name:       name,
		window:     8,
		tunnelIDs:  numberCounting,
		callIDs:    numberCounting,
		serials:    numberZero,
		challenge:  16,
		retransmit: Retransmit{time.Second, 8 * time.Second, 5},
		timeout:    35 * time.Second,
		hello:      40 * time.Second,
		stopCode:   StopClear,
		sccrq: []item{
			{attribute: AttrProtocolVersion, number: protocolVersion},
			{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingSync},
			{attribute: AttrBearerCapabilities, from: fromNumber32},
			{attribute: AttrFirmwareRevision, optional: true, number: firmware},
			{attribute: AttrHostName, from: fromHost},
			{attribute: AttrVendorName, optional: true, from: fromText, text: "Microsoft"},
			{attribute: AttrAssignedTunnel, from: fromTunnel},
			{attribute: AttrReceiveWindow, from: fromWindow},
			{attribute: AttrChallenge, from: fromChallenge},
		},
		scccn: []item{{attribute: AttrChallengeResponse, from: fromResponse}},
		icrq: []item{
			{attribute: AttrAssignedCall, from: fromCall},
			{attribute: AttrCallSerial, from: fromSerial},
			{attribute: AttrBearerType, optional: true, from: fromNumber32, number: bearerAnalog},
			{attribute: 1, optional: true, from: fromCorrelation, vendor: vendorMicrosoft},
		},
		iccn: []item{
			{attribute: AttrTxSpeed, from: fromSpeed, number: 100_000_000},
			{attribute: AttrFramingType, from: fromNumber32, number: framingSync},
			{attribute: AttrProxyAuthenType, optional: true, number: 4},
		},
		cdn: []item{
			{attribute: AttrAssignedCall, from: fromCall},
			{attribute: AttrResultCode, from: fromResultBare},
		},
		stopccn: []item{
			{attribute: AttrAssignedTunnel, from: fromTunnel},
			{attribute: AttrResultCode, from: fromResultBare},
		},
	}
}

var macos = apple("macos")
var ios = apple("ios")

// apple: the L2TP plug-in of pppd on macOS and iOS. Its burst of HELLOs makes the kernel
// ask for a security association; its call ID is the process number of pppd.
func apple(name string) persona {
	return persona{
		name:       name,
		window:     4,
		tunnelIDs:  numberCounting,
		callIDs:    numberProcess,
		serials:    numberOne,
		hellos:     11,
		retransmit: Retransmit{time.Second, 4 * time.Second, 9},
		timeout:    20 * time.Second,
		stopCode:   StopClear,
		sccrq: []item{
			{attribute: AttrProtocolVersion, number: protocolVersion},
			{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingBoth},
			{attribute: AttrHostName, from: fromHostNUL},
			{attribute: AttrAssignedTunnel, from: fromTunnel},
			{attribute: AttrReceiveWindow, from: fromWindow},
		},
		icrq: []item{
			{attribute: AttrAssignedCall, from: fromCall},
			{attribute: AttrCallSerial, from: fromSerial},
		},
		iccn: []item{
			{attribute: AttrTxSpeed, from: fromSpeed, number: 1_000_000},
			{attribute: AttrFramingType, from: fromNumber32, number: framingBoth},
		},
		cdn: []item{
			{attribute: AttrAssignedCall, from: fromCall},
			{attribute: AttrResultCode, from: fromResultApple},
		},
		stopccn: []item{
			{attribute: AttrAssignedTunnel, from: fromTunnel},
			{attribute: AttrResultCode, from: fromResultApple},
		},
	}
}

// android: mtpd of Android 2 to 12. Its windows are 1, it repeats every two seconds, and
// it goes on only when the last message was acknowledged.
var android = persona{
	name:       "android",
	hostName:   "anonymous",
	window:     1,
	challenge:  32,
	waitAck:    true,
	stopOnly:   true,
	retransmit: Retransmit{2 * time.Second, 2 * time.Second, 40},
	timeout:    60 * time.Second,
	stopCode:   StopShutdown,
	sccrq: []item{
		{attribute: AttrProtocolVersion, number: protocolVersion},
		{attribute: AttrHostName, from: fromHost},
		{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingBoth},
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrReceiveWindow, from: fromWindow},
		{attribute: AttrChallenge, from: fromChallenge},
	},
	scccn: []item{{attribute: AttrChallengeResponse, from: fromResponse}},
	icrq: []item{
		{attribute: AttrAssignedCall, from: fromCall},
		{attribute: AttrCallSerial, from: fromSerial},
	},
	iccn: []item{
		{attribute: AttrTxSpeed, from: fromSpeed, number: 100_000_000},
		{attribute: AttrFramingType, from: fromNumber32, number: framingBoth},
	},
	cdn: []item{
		{attribute: AttrResultCode, from: fromResultBare},
		{attribute: AttrAssignedCall, from: fromCall},
	},
	stopccn: []item{
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrResultCode, from: fromResultCode},
	},
}

var networkManager = xl2tpd("networkmanager", "", 8, 100_000_000)
var chromeos = xl2tpd("chromeos", "localhost", 4, 1_000_000)

// xl2tpd: xl2tpd 1.3 with the window and speed that its front end configures.
func xl2tpd(name, host string, window uint16, speed uint32) persona {
	return persona{
		name:       name,
		hostName:   host,
		window:     window,
		serials:    numberCounting,
		challenge:  16,
		retransmit: Retransmit{time.Second, 16 * time.Second, 5},
		timeout:    60 * time.Second,
		hello:      60 * time.Second,
		stopCode:   StopClear,
		sccrq: []item{
			{attribute: AttrProtocolVersion, number: protocolVersion},
			{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingBoth},
			{attribute: AttrBearerCapabilities, from: fromNumber32},
			{attribute: AttrFirmwareRevision, optional: true, number: 0x0690},
			{attribute: AttrHostName, from: fromHost},
			{attribute: AttrVendorName, optional: true, from: fromText, text: "xelerance.com"},
			{attribute: AttrAssignedTunnel, from: fromTunnel},
			{attribute: AttrReceiveWindow, from: fromWindow},
			{attribute: AttrChallenge, from: fromChallenge},
		},
		scccn: []item{{attribute: AttrChallengeResponse, from: fromResponse}},
		icrq: []item{
			{attribute: AttrAssignedCall, from: fromCall},
			{attribute: AttrCallSerial, from: fromSerial},
			{attribute: AttrBearerType, from: fromNumber32},
		},
		iccn: []item{
			{attribute: AttrTxSpeed, from: fromSpeed, number: speed},
			{attribute: AttrFramingType, from: fromNumber32, number: framingSync},
			{attribute: AttrRxSpeed, optional: true, from: fromSpeed, number: speed},
		},
		cdn: []item{
			{attribute: AttrResultCode, from: fromResult},
			{attribute: AttrAssignedCall, from: fromCall},
		},
		stopccn: []item{
			{attribute: AttrAssignedTunnel, from: fromTunnel},
			{attribute: AttrResultCode, from: fromResult},
		},
	}
}

// mikrotik: RouterOS. Only its SCCRQ is recorded; the others carry what the RFC demands.
var mikrotik = persona{
	name:       "mikrotik",
	hostName:   "MikroTik",
	window:     4,
	serials:    numberCounting,
	challenge:  16,
	retransmit: Retransmit{time.Second, 8 * time.Second, 5},
	timeout:    60 * time.Second,
	hello:      60 * time.Second,
	stopCode:   StopShutdown,
	sccrq: []item{
		{attribute: AttrProtocolVersion, number: protocolVersion},
		{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingSync},
		{attribute: AttrBearerCapabilities, from: fromNumber32},
		{attribute: AttrFirmwareRevision, optional: true, number: 1},
		{attribute: AttrHostName, from: fromHost},
		{attribute: AttrVendorName, optional: true, from: fromText, text: "MikroTik"},
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrReceiveWindow, from: fromWindow},
		{attribute: AttrChallenge, from: fromChallenge},
	},
	scccn: []item{{attribute: AttrChallengeResponse, from: fromResponse}},
	icrq: []item{
		{attribute: AttrAssignedCall, from: fromCall},
		{attribute: AttrCallSerial, from: fromSerial},
	},
	iccn: []item{
		{attribute: AttrTxSpeed, from: fromSpeed, number: 100_000_000},
		{attribute: AttrFramingType, from: fromNumber32, number: framingSync},
	},
	cdn: []item{
		{attribute: AttrResultCode, from: fromResultBare},
		{attribute: AttrAssignedCall, from: fromCall},
	},
	stopccn: []item{
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrResultCode, from: fromResultBare},
	},
}

// kl2tpd: the daemon of go-l2tp. It names no receive window.
var kl2tpd = persona{
	name:       "kl2tpd",
	window:     defaultWindow,
	serials:    numberCounting,
	retransmit: Retransmit{time.Second, 4 * time.Second, 3},
	timeout:    60 * time.Second,
	stopCode:   StopClear,
	sccrq: []item{
		{attribute: AttrProtocolVersion, number: protocolVersion},
		{attribute: AttrHostName, from: fromHost},
		{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingBoth},
		{attribute: AttrAssignedTunnel, from: fromTunnel},
	},
	icrq: []item{
		{attribute: AttrAssignedCall, from: fromCall},
		{attribute: AttrCallSerial, from: fromSerial},
	},
	iccn: []item{
		{attribute: AttrTxSpeed, from: fromSpeed},
		{attribute: AttrFramingType, from: fromNumber32, number: framingBoth},
	},
	cdn: []item{
		{attribute: AttrResultCode, from: fromResult},
		{attribute: AttrAssignedCall, from: fromCall},
	},
	stopccn: []item{
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrResultCode, from: fromResult},
	},
}

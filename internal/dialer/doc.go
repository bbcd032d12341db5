// Package dialer is the client: it calls a server by L2TP over IKEv1 or IKEv2, by IKEv2 or by
// extended authentication, speaks like culvert or like a native client, and joins what it is
// given to a device.
//
// A Dialer drives an engine as a server does, without letting anybody in: drain.go has the one
// switch over what happens in it. Each call under way is a call, of the control loop; Dial
// waits until it stands, and returns a Connection. Connect, which is `culvert connect`, keeps
// one connection with a TUN device: it follows this host from address to address (dial.go,
// watcher.go), goes where a server sends it (route.go), and dials again. The load generator
// and the tests place thousands of calls by one Dialer.
//
// Memory: what a DialConfig holds is borrowed until its call has ended.
//
// Goroutines: Run, which is the control loop of the engine; one that opens the device of a
// call; with Connect, one that watches the kernel's addresses.
package dialer

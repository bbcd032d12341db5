// Package bench measures culvert, and what people would use instead of it.
//
// Each kind of measurement is a function that takes a Config, checks all of it
// before anything is created, reports on a Progress while it runs, and returns
// a Section: figures with all their samples, charts, and notes on what could
// not be run and why. A Report joins sections with a description of the
// machine, and is written as JSON, as text, or as a page with plots.
//
//	Crypto      sealing and opening ESP packets, a core
//	Forward     packets through a whole gateway in one process, no kernel
//	Throughput  TCP and UDP between network namespaces, over TUN or netstack
//	Overload    UDP at half to three times what goes through a server on one CPU
//	Logins      dial-ins a second, and what they cost the server
//	Sessions    many idle sessions: memory each, and how fast echoes come back
//	Storm       everybody redials when the server was killed
//	Compare     the same work through other VPNs, in alternating rounds
//	All         one after the other, and Join one report of several
//
// The clients are the initiator halves of culvert's own machines, so any
// L2TP/IPsec server can be dialled. Servers run as processes of their own, so
// that their CPU time and their memory are theirs.
//
// # Memory
//
// Packets that fake devices and fake sockets lend follow the contracts of
// packages tenant and udp. Everything else is ordinary Go memory.
//
// # What it leaves behind
//
// Nothing. A site removes processes, namespaces and files on every way out;
// namespaces have no name and children die with their parent, so that not even
// a killed bench leaves anything but a folder under the system's temporary one.
//
// # What it does not do
//
// It does not tune the machine, does not pin CPU frequency, and draws no
// conclusion from one run: figures carry their spread.
package bench

// Package shed decides what a worker leaves undone when more arrives than it can
// carry, so that a client that floods takes nothing from the others.
//
// A Shedder is one worker's, and for its goroutine alone. It is given each batch,
// how full the socket is and the time, and gives back the packets that are to be
// carried (Cut, share.go) and, now and then, the Filter that the socket is to have
// (Filter, filter.go): what would be cut again and again is better dropped before it
// is read. Where there is one client only (sources.go), nothing is cut.
//
// It reads no clock, does no I/O and keeps no packet: a batch is borrowed for the
// call, and reordered. Beyond the memory that it has grown to it allocates nothing.
package shed

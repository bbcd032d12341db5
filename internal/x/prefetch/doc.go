// Package prefetch has the processor fetch memory that will be needed soon, and
// does not wait for it. Who has many packets in hand, each of which needs memory
// that no cache has, asks for that of the next ones while it works on the first.
//
// It asks and reads nothing: no address is wrong, nil neither, nothing is
// changed, and nobody owns anything. Where there are no instructions for it (not
// amd64, or built with the tag purego) it does nothing at all.
package prefetch

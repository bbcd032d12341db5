// Package event is what happens in culvert, as typed values, once each.
//
// # Verbs
//
// Emit takes an Event, gives it its number and time, and hands it to every sink of
// the Stream: the log, a Counter, and whatever else comes to be told. Each event is
// emitted at one place of the program. Its name, which is the log line's, and its
// fields are stable; docs/events.md has them all.
//
// # Memory
//
// An Event is a value and borrows nothing that changes. A sink may keep a Record.
//
// # What it does not do
//
// A sink does not wait: it is called where the event happens. Who writes to a disk or
// a network has a bounded queue of his own, and says what it lost. A sink that panics
// is not called again, which costs itself only. No event has a secret in it.
package event

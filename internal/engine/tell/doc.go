// Package tell puts what happens in the engine into the words of package event, for the
// server and the client alike, each thing at one place. It decides nothing, and tells nobody:
// whoever drives the engine emits what it gets here.
package tell

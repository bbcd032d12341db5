// Package timing is how the machines of both versions of IKE repeat a message until
// its answer comes.
//
// It reads no clock: callers say what time it is. A Repeater keeps the message that
// it was given and hands out the same again; it copies nothing.
package timing

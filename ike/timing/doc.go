// Package timing is what the machines of both versions of IKE do with time: they
// hold deadlines as data, take the earliest, and repeat a message until its answer
// comes.
//
// It reads no clock: callers say what time it is. A Repeater keeps the message that
// it was given and hands out the same again; it copies nothing.
package timing

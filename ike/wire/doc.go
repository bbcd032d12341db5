// Package wire reads and writes ISAKMP messages: the header, the chain of
// payloads and each payload's body (RFC 2408, 2407, 2409, 3947, 3706).
//
// The verbs are ConsumeX, which reads an X from the front of a byte slice, and
// AppendX (or the method AppendBody), which adds one to a byte slice. A whole
// message is read by ConsumeHeader and ParsePayloads and written by a Message.
//
// Memory: everything read is a view into the bytes given. It is valid as long as
// those bytes are, and changes with them: a caller that decrypts in place or
// keeps a value over calls clones what it needs. Appending copies.
//
// A value that was read and is appended again gives the same bytes: attributes
// keep their order and their encoding, so that an answer can carry a transform
// exactly as it was offered.
//
// What it does not do: it knows neither keys nor states, never decrypts, and
// does not judge whether a payload belongs into an exchange. Numbers it does not
// know are kept, not refused. IKEv2 shares the header and the chain.
package wire

// Package wire reads and writes ISAKMP messages: the header, the chain of
// payloads and each payload's body (RFC 2408, 2407, 2409, 3947, 3706; for IKEv2 RFC
// 7296 and those beside it).
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
// know are kept, not refused.
//
// IKEv2 (RFC 7296) shares the header, the chain and attributes. Its payloads have
// a 2 in their names where IKEv1 has one of the same name. What an encrypted one
// hides is written by a Chain; package suite seals and opens it.
package wire

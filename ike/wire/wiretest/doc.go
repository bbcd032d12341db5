// Package wiretest reads the recorded packets of testdata/flows for tests. It
// belongs to no binary.
//
// A flow file is text: a first line "# client | what | origin", then hex in lines
// of any length. What begins with the exchange and the number of the message.
// Quick mode messages are given as they are after decryption and without their
// HASH, for both depend on keys: a chain of payloads that begins with SA.
package wiretest

// Package persona has the clients that a dial by IKE can speak like: what each of them
// was seen to offer and to do, as values of v1.Persona and v2.Persona. Tests, the
// benchmark and `culvert connect` dial with them; package ike knows none by its name.
// Those of others also offer algorithms that nobody should use, as the originals do;
// what a server may choose of them is for package suite to say.
package persona

// Package persona has the clients that a PPP link can speak like: what each of them was
// seen to send, as values of [ppp.Persona]. Tests, the benchmark and `culvert connect`
// dial with them; package ppp knows none by its name.
package persona

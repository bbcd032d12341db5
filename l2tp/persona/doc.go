// Package persona has the clients that L2TP's LAC can speak like: what each of them
// was seen to send, as values of [l2tp.Persona]. Tests, the benchmark and `culvert
// connect` dial with them; package l2tp knows none by its name.
package persona

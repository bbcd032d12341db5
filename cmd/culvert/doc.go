// Command culvert is a concentrator for the L2TP/IPsec clients built into
// Windows, macOS, iOS, Android and Linux.
//
// Every command turns its flags into values and calls the package that does
// the work: internal/config, internal/store, internal/quickstart and
// internal/gateway. Nothing else is here.
package main

// Package dnstest has what tests of DNS servers share: sockets for one. It
// knows nothing of DNS, and no product code imports it.
package dnstest

// Package x86test has tests run as on processors that can do less than this one:
// each kind of assembly, and what takes its place, is tested on whatever has the
// best of them. It is for tests only.
package x86test

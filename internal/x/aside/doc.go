// Package aside runs what somebody waits for, but not for ever: an end that a disk, another
// process or a silent server could hold up.
package aside

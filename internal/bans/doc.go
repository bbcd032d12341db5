// Package bans is who is not to dial in: by an operator's command, by what a guesser did, and
// by files of addresses that somebody else keeps.
//
// # Verbs
//
// A List has the bans that there are: Add and Remove change it, Expire takes out what is over,
// Of says what is against an address, and Against what is against a login. Table is what is
// banned as a whole, for goroutines that move packets. ReadFeed reads a file of networks.
//
// # Memory
//
// A List belongs to one goroutine, holds no more than MaxBans bans and maxAutomatic that were
// made by the program, and is told the time. A Table, and what a Feed has, do not change once
// they are handed out. A feed has no more networks than ReadFeed is told, whatever is in its
// file.
//
// # What it does not do
//
// It ends no session, keeps nothing on disk and writes no log. ReadFeed reads a file, which
// takes time: it is not for a control loop.
package bans

// Package secretfile reads files that hold a secret: keys, passwords, private keys in PEM.
//
// A file is opened once, and what is judged is what was opened: its kind, its owner and
// its mode come from the descriptor, so that nobody can put another file in its place
// between the judgement and the reading. What is read belongs to the caller, who clears
// it. The package knows no format.
package secretfile

// Package fence has no code. Its tests hold the whole repository to its
// layout and its house rules: which package may import which, what a protocol
// core may not do, how long files and functions are, that every exported name
// and every package is explained, and that what the documents promise to users
// has a test that shows it.
//
// The tests read source files with go/parser and need nothing else; the one that
// looks for the users of exported names asks the go command for types. Files
// under testdata, and folders whose names begin with a dot or an underscore,
// are left out, as the go tool leaves them out.
package fence

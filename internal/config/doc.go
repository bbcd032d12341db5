// Package config reads culvert's configuration file and checks the whole of
// it before anything opens a socket.
//
// [Load] reads a file, [Parse] a buffer. Both give back either a [Config] in
// which every value is in range, every secret is resolved and no two tenants
// can be mistaken for each other, or [Problems]: every fault of the file at
// once, each with its line and column, the line itself and what to write in
// its place. What is legal but unwise is in Config.Warnings and stops nothing.
//
// The file is YAML, parsed by goccy/go-yaml. Its syntax tree is walked here,
// key by key, instead of being decoded into tagged structs: a decoder stops
// at the first fault and forgets where each value stood, and the faults that
// matter most (two tenants with one realm, pools that overlap) are between
// values that are each correct.
//
// Memory: a Config and all it holds belong to the caller, who may keep it for
// as long as it likes. Secrets are copies; [Config.Zero] overwrites them.
// Nothing here is safe for concurrent writing; reading is.
//
// Not done here: choosing a tenant for a client (package tenant), checking
// passwords (ppp/auth), keeping users that `culvert user` made
// (internal/store), opening anything but the files that secrets name.
package config

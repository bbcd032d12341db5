// Package family knows the kinds of clients: how each is recognised by what it
// says before anything is encrypted, and the quirks that a server has to allow
// for. Recognise decides the family of a peer of either version of IKE; Refine
// adds what L2TP and PPP say where IKE could not tell. Has answers whether a
// family has a quirk; Table is the whole list of them, each with its reason.
//
// A quirk is what only some clients want, and what would be wrong, or a waste,
// for the others. What serves them all is not here but done for everybody;
// docs/clients.md lists both.
//
// The package is made of tables and pure functions. A family is a guess about a
// stranger: nothing that matters to security may depend on it.
package family

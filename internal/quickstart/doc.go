// Package quickstart makes what a first run needs and a person does not have
// yet: a configuration with random secrets, kept for the next run, and the
// words to type into a client.
//
// [Prepare] finds or makes the configuration; [Setup.Guide] writes the
// instructions. Nothing here opens a socket or serves anybody; the only
// secrets that leave are those in the Guide, which is for the terminal of
// whoever starts the server.
package quickstart

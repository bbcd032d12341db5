// Package fault is where a panic ends that must not end the process: a fault of
// the program that one client's packet or message has found costs that client
// its session, and nobody else anything.
//
// Who serves clients defers Recover, or calls recover itself and then Caught. A
// panic is counted, and told with its stack: a few at once and then one in ten
// seconds, for who found one will send the next. Without a Log a panic stays one,
// so that tests and fuzzing find it.
//
// What this cannot do: a panic in a goroutine that a library started, and a lock
// that was held by no deferred call, are beyond it.
package fault

package aside

// Run calls f on a goroutine of its own. The channel is closed when f has returned; whoever
// does not wait for that leaves f behind.
func Run(f func()) (ended <-chan struct{}) {
	c := make(chan struct{})
	go func() {
		defer close(c)
		f()
	}()
	return c
}

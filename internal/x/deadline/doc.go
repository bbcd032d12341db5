// Package deadline keeps the times at which many things want to be looked at, so
// that the earliest is found at once and one is changed in O(log n).
//
// It reads no clock and starts no timer: a Heap is asked when its first deadline is
// (Next), whose it is (First, Due), and its owner does the waiting. What waits
// embeds an Alarm, which is all the memory that it takes beside one pointer. The
// zero time is no deadline, everywhere in this package. A Heap belongs to one
// goroutine.
package deadline

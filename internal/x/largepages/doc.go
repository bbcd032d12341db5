// Package largepages has the system put memory of the heap into large pages, where
// there are many objects of which each packet needs others. With pages of 4 KiB the
// processor cannot remember where all of them are, and looks it up in memory, on a
// virtual machine in two tables; with pages of 2 MiB it can.
//
// Who uses it says which objects those are. Only memory that the heap has filled by
// then is joined, so a process does not grow by it, and what the heap gives back
// later is free as before. Nothing is lost where it cannot be done: on anything but
// Linux, before Linux 6.1, or where large pages are switched off.
package largepages

package tenant

// newcomers is the part of what clients share, one in so many, that only those get
// who have nothing of it.
const newcomers = 16

// Room reports whether a client that holds so many of what clients share may have one
// more, when so many of all are used: no more than are left. Who has nothing yet finds
// room, however many sessions somebody has that take all they may; and who is alone
// has half of it all.
func Room(held, used, all int) bool {
	if held == 0 {
		return used < all
	}
	return held <= all-used-all/newcomers
}

package dataplane

// lines maps numbers of 32 bits to what they name, so that a look-up needs one
// line of memory, which can be asked for beforehand. A map of the language needs
// three or four, one after the other.
//
// It is a hash table with the keys beside the values and no more than half of
// its places taken; what finds its place taken is in one behind it. Nobody else
// chooses the keys: they are SPIs and addresses that we gave away.
type lines[V any] struct {
	places []place[V] // a power of two of them
	count  int
	shift  uint8 // of the hash, to a place
}

type place[V any] struct {
	key   uint32
	value *V // nil: free
}

// leastPlaces is the size of a table with anything in it.
const leastPlaces = 16

// home is where a key belongs: the upper bits of its product with the golden
// ratio, which spreads both random keys and those that follow each other.
func (l *lines[V]) home(key uint32) int {
	return int(uint64(key) * 0x9E3779B97F4A7C15 >> l.shift)
}

// get returns what key names, or nil.
func (l *lines[V]) get(key uint32) *V {
	if len(l.places) == 0 {
		return nil
	}
	for i := l.home(key); ; i++ {
		p := &l.places[i&(len(l.places)-1)]
		if p.key == key || p.value == nil {
			return p.value
		}
	}
}

// at is where a look-up of key begins to read; nil in an empty table.
func (l *lines[V]) at(key uint32) *place[V] {
	if len(l.places) == 0 {
		return nil
	}
	return &l.places[l.home(key)&(len(l.places)-1)]
}

// put makes key name value, which is not nil.
func (l *lines[V]) put(key uint32, value *V) {
	if 2*(l.count+1) > len(l.places) {
		l.grow()
	}
	p := l.find(key)
	if p.value == nil {
		l.count++
	}
	*p = place[V]{key, value}
}

// find returns the place of key, or the free one that it would get.
func (l *lines[V]) find(key uint32) *place[V] {
	for i := l.home(key); ; i++ {
		if p := &l.places[i&(len(l.places)-1)]; p.key == key || p.value == nil {
			return p
		}
	}
}

func (l *lines[V]) grow() {
	old := l.places
	n := max(leastPlaces, 2*len(old))
	l.places, l.shift = make([]place[V], n), 64
	for ; n > 1; n /= 2 {
		l.shift--
	}
	for _, p := range old {
		if p.value != nil {
			*l.find(p.key) = p
		}
	}
}

// remove forgets key. Those behind it that would not be found any more move up.
func (l *lines[V]) remove(key uint32) {
	if l.get(key) == nil {
		return
	}
	mask := len(l.places) - 1
	free := l.home(key) & mask
	for l.places[free].key != key {
		free = (free + 1) & mask
	}
	for i := (free + 1) & mask; l.places[i].value != nil; i = (i + 1) & mask {
		// It may move up unless its home lies behind the free place.
		if home := l.home(l.places[i].key) & mask; (i-home)&mask >= (i-free)&mask {
			l.places[free], free = l.places[i], i
		}
	}
	l.places[free] = place[V]{}
	l.count--
}

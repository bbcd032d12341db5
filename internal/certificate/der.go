package certificate

// element is where one value of DER stands.
type element struct {
	tag              byte
	start, body, end int
}

// of is the element in bytes of the same layout.
func (e element) of(b []byte) []byte { return b[e.start:e.end:e.end] }

// elementAt reads the header of the value at a place. Tags of more than one byte, and
// lengths that are not definite or of more than three bytes, are not known.
func elementAt(b []byte, at int) (element, bool) {
	if len(b)-at < 2 || b[at]&0x1f == 0x1f {
		return element{}, false
	}
	e := element{tag: b[at], start: at, body: at + 2}
	n := int(b[at+1])
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 3 || len(b)-e.body < size {
			return element{}, false
		}
		n = 0
		for range size {
			n = n<<8 | int(b[e.body])
			e.body++
		}
	}
	e.end = e.body + n
	return e, e.end <= len(b)
}

// eachElement visits what is inside of a value, up to the first that cannot be read.
func eachElement(b []byte, in element, visit func(element)) {
	for at := in.body; at < in.end; {
		e, ok := elementAt(b[:in.end], at)
		if !ok {
			return
		}
		visit(e)
		at = e.end
	}
}

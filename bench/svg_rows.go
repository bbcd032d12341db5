package bench

import (
	"fmt"
	"html"
	"math"
	"slices"
)

// The measures of rows, in pixels.
const (
	rowHeight, headingHeight = 24.0, 30.0
	rowRight                 = 190.0 // room for the value and its spread
	rowsBottom               = 30.0
)

// rowsSVG draws a bar for each label, from left to right, with its value and
// its spread behind it.
func (c Chart) rowsSVG() string {
	s := &svg{width: svgWidth, top: 50, log: c.Kind == Ratios}
	if len(c.Series) < 2 {
		s.top = 32
	}
	at := c.rowsAt(s.top)
	s.bottom = at[len(at)-1]
	s.height = s.bottom + rowsBottom
	s.left, s.right = c.labelWidth(), svgWidth-rowRight
	s.scaleRows(c)
	s.open(c.Title)
	s.rowGrid(c, at)
	heading := ""
	for i, label := range c.Labels {
		if h := c.heading(i); h != "" && h != heading {
			heading = h
			fmt.Fprintf(&s.b, `<text x="10" y="%.1f" font-weight="600" fill="currentColor">%s</text>`+"\n", at[i]-7, html.EscapeString(h))
		}
		s.text(s.left-10, at[i]+rowHeight/2+4, "end", "", label)
	}
	for n, series := range c.Series {
		for _, p := range series.Points {
			s.row(c, n, p, at[int(p.X)])
		}
	}
	s.legend(c.Series)
	s.b.WriteString("</svg>\n")
	return s.b.String()
}

func (c Chart) heading(i int) string {
	if i < len(c.Headings) {
		return c.Headings[i]
	}
	return ""
}

// rowsAt are the upper edges of the rows, and the lower one of the last.
func (c Chart) rowsAt(top float64) []float64 {
	at, heading := []float64{}, ""
	for i := range c.Labels {
		if h := c.heading(i); h != heading {
			heading = h
			top += headingHeight
		}
		at = append(at, top)
		top += rowHeight
	}
	return append(at, top)
}

func (c Chart) labelWidth() float64 {
	longest := 0
	for _, l := range c.Labels {
		longest = max(longest, len([]rune(l)))
	}
	return min(24+textWidth*float64(longest), svgWidth/2)
}

// scaleRows finds what the axis spans. One value that dwarfs all others, what
// goes without any VPN, is cut off: the others are what is compared.
func (s *svg) scaleRows(c Chart) {
	var values []float64
	low := 1.0
	for _, series := range c.Series {
		for _, p := range series.Points {
			values = append(values, max(p.Y, p.High, p.Goal))
			if p.Y > 0 && p.Low > 0 {
				low = min(low, p.Y, p.Low)
			}
		}
	}
	slices.Sort(values)
	s.x0, s.x1 = 0, 1
	if n := len(values); n > 0 && values[n-1] > 0 {
		s.x1 = values[n-1]
		if n > 2 && values[n-2] > 0 && values[n-1] > 2.5*values[n-2] && !s.log {
			s.x1 = 1.3 * values[n-2]
		}
	}
	if s.log {
		s.x0, s.x1 = low, max(s.x1, 2)
	}
}

// rowGrid draws the axis below the rows, and its lines behind them, but not
// behind headings.
func (s *svg) rowGrid(c Chart, at []float64) {
	marks := ticks(s.x1)
	if s.log {
		marks = nil
		for power := 0.01; power < s.x1; power *= 10 {
			for _, v := range []float64{1, 2, 5} {
				if v*power >= s.x0 && v*power <= s.x1 {
					marks = append(marks, v*power)
				}
			}
		}
	}
	written := 0.0 // where the last text ends
	for _, v := range marks {
		for _, top := range at[:len(at)-1] {
			s.gridline(s.x(v), top, s.x(v), top+rowHeight)
		}
		half := textWidth / 2 * float64(len([]rune(c.Unit.Format(v))))
		if s.x(v)-half < written+8 && written > 0 {
			continue
		}
		s.text(s.x(v), s.bottom+16, "middle", "mute", c.Unit.Format(v))
		written = s.x(v) + half
	}
	for _, top := range at[:len(at)-1] {
		if s.log {
			fmt.Fprintf(&s.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="whisker"/>`+"\n", s.x(1), top, s.x(1), top+rowHeight)
		}
	}
}

// row draws one bar. One that is longer than the axis is open at its end.
func (s *svg) row(c Chart, n int, p Point, top float64) {
	from := s.x0
	if s.log {
		from = 1
	}
	a, b := s.x(min(from, p.Y)), s.x(min(max(from, p.Y), s.x1))
	fmt.Fprintf(&s.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" class="k%d"><title>%s</title></rect>`+"\n",
		a, top+4, max(1, b-a), rowHeight-8, color(n), html.EscapeString(c.Unit.Format(p.Y)))
	end := b
	if middle := top + rowHeight/2; p.High > p.Low && p.Y <= s.x1 {
		fmt.Fprintf(&s.b, `<path d="M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6" class="whisker" fill="none"/>`+"\n",
			s.x(p.Low), middle, s.x(min(p.High, s.x1)), s.x(p.Low), middle-3, s.x(min(p.High, s.x1)), middle-3)
		end = max(end, s.x(min(p.High, s.x1)))
	}
	if p.Goal > 0 {
		fmt.Fprintf(&s.b, `<path d="M%.1f %.1fV%.1f" class="goal" stroke-dasharray="3 2"><title>%s</title></path>`+"\n",
			s.x(p.Goal), top+1, top+rowHeight-1, html.EscapeString("goal: "+c.Unit.Format(p.Goal)))
		end = max(end, s.x(p.Goal))
	}
	s.text(end+7, top+rowHeight/2+4, "start", "", c.valueText(p, p.Y > s.x1))
}

// valueText writes a value with its spread.
func (c Chart) valueText(p Point, cut bool) string {
	text := c.Unit.Format(p.Y)
	if cut {
		text = "… " + text
	}
	if p.High > p.Low && p.Y > 0 && math.Max(p.High/p.Y, p.Y/max(p.Low, 1e-12)) > 1.005 {
		text += fmt.Sprintf(" (%s–%s)", c.Unit.bareLike(p.Y, p.Low), c.Unit.bareLike(p.Y, p.High))
	}
	return text
}

package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The size of a picture and what surrounds the plot, in pixels.
const (
	svgWidth, svgHeight = 760.0, 330.0
	svgLeft, svgRight   = 112.0, 20.0
	svgTop, svgBottom   = 58.0, 52.0
	// textWidth is how wide a character of a label is at most, about.
	textWidth = 6.7
)

// svg collects the elements of one picture.
type svg struct {
	b             strings.Builder
	width, height float64
	// The plot: its edges in pixels, and what values lie there.
	left, right, top, bottom float64
	x0, x1, y1               float64
	log                      bool // x is drawn by its logarithm
}

// palette are colours that people tell apart who see red and green alike, for
// light and for dark pages.
func palette() [][2]string {
	return [][2]string{
		{"#0b6e99", "#4db2dd"}, {"#d9822b", "#f0a45c"}, {"#5b8c5a", "#8fc78d"}, {"#9b59b6", "#c793de"},
		{"#c0392b", "#ee7d70"}, {"#7f8c8d", "#a3afb0"}, {"#2c3e50", "#8fa9c4"}, {"#b7950b", "#e3c54a"},
	}
}

// style gives the colours to classes: k0, k1, ... for areas, l0, l1, ... for
// lines, and in the other half of the day the other ones.
func style() string {
	var b strings.Builder
	b.WriteString("<style>:root{color-scheme:light dark}svg{color:#1f2529}.mute{opacity:.62}.grid{stroke:currentColor;stroke-opacity:.14}" +
		".whisker{stroke:currentColor;stroke-width:1.4}.goal{fill:none;stroke:currentColor;stroke-width:1.6}")
	for i, c := range palette() {
		fmt.Fprintf(&b, ".k%d{fill:%s}.l%d{stroke:%s}", i, c[0], i, c[0])
	}
	b.WriteString("@media(prefers-color-scheme:dark){svg{color:#e4e8eb}")
	for i, c := range palette() {
		fmt.Fprintf(&b, ".k%d{fill:%s}.l%d{stroke:%s}", i, c[1], i, c[1])
	}
	b.WriteString("}</style>\n")
	return b.String()
}

func color(i int) int { return i % len(palette()) }

// SVG draws the chart: one svg element, which stands for itself.
func (c Chart) SVG() string {
	if c.Kind == Rows || c.Kind == Ratios {
		return c.rowsSVG()
	}
	s := &svg{
		width: svgWidth, height: svgHeight, left: svgLeft, right: svgWidth - svgRight, top: svgTop, bottom: svgHeight - svgBottom,
		log: c.Kind == LogLines,
	}
	s.scale(c)
	s.open(c.Title)
	s.grid(c)
	for i, series := range c.Series {
		if c.Kind == Groups {
			s.bars(c, i, series)
		} else {
			s.line(c, i, series)
		}
	}
	s.legend(c.Series)
	s.b.WriteString("</svg>\n")
	return s.b.String()
}

// scale finds what the axes span.
func (s *svg) scale(c Chart) {
	s.x0, s.x1 = math.Inf(1), math.Inf(-1)
	for _, series := range c.Series {
		for _, p := range series.Points {
			s.x0, s.x1 = min(s.x0, p.X), max(s.x1, p.X)
			s.y1 = max(s.y1, p.Y, p.High)
		}
	}
	if c.Kind == Groups {
		s.x0, s.x1 = 0, float64(max(1, len(c.Labels)))
	}
	if math.IsInf(s.x0, 0) {
		s.x0, s.x1 = 0, 1
	}
	if s.log {
		s.x0, s.x1 = max(s.x0, 1e-9), max(s.x1, 2e-9)
	}
	if s.x1 == s.x0 {
		s.x1 = s.x0 + 1
	}
	if s.y1 <= 0 {
		s.y1 = 1
	}
	s.y1 *= 1.06 // room for what is written above
}

func (s *svg) x(v float64) float64 {
	share := (v - s.x0) / (s.x1 - s.x0)
	if s.log {
		share = math.Log(max(v, s.x0)/s.x0) / math.Log(s.x1/s.x0)
	}
	return s.left + share*(s.right-s.left)
}

func (s *svg) y(v float64) float64 { return s.bottom - v/s.y1*(s.bottom-s.top) }

func (s *svg) open(title string) {
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" font-family="system-ui,sans-serif" font-size="12">`+"\n%s",
		s.width, s.height, style())
	fmt.Fprintf(&s.b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(&s.b, `<text x="10" y="20" font-size="14" font-weight="600" fill="currentColor">%s</text>`+"\n", html.EscapeString(title))
}

func (s *svg) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(&s.b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s" fill="currentColor">%s</text>`+"\n",
		x, y, anchor, class, html.EscapeString(text))
}

func (s *svg) gridline(x1, y1, x2, y2 float64) {
	fmt.Fprintf(&s.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="grid"/>`+"\n", x1, y1, x2, y2)
}

// grid draws the axes: round values on the left, labels or values below.
func (s *svg) grid(c Chart) {
	for _, v := range ticks(s.y1) {
		s.gridline(s.left, s.y(v), s.right, s.y(v))
		s.text(s.left-8, s.y(v)+4, "end", "mute", c.Unit.Format(v))
	}
	if c.Kind == Groups {
		for i, l := range c.Labels {
			s.text(s.x(float64(i)+0.5), s.bottom+18, "middle", "", l)
		}
		return
	}
	marks := ticksBetween(s.x0, s.x1)
	if s.log {
		marks = powers(s.x0, s.x1)
	}
	for _, v := range marks {
		s.text(s.x(v), s.bottom+18, "middle", "mute", grouped(v))
	}
	s.text((s.left+s.right)/2, s.bottom+38, "middle", "mute", c.XName)
}

// grouped writes a number with its thousands apart.
func grouped(v float64) string {
	text := digits(v)
	if v != math.Trunc(v) || len(text) < 5 {
		return text
	}
	return text[:len(text)-3] + " " + text[len(text)-3:]
}

// bars draws one colour of upright bars, with whiskers from the lowest to the
// highest sample.
func (s *svg) bars(c Chart, n int, series Series) {
	group := (s.right - s.left) / max(1, s.x1-s.x0)
	width := min(64, group*0.8/float64(len(c.Series)))
	for _, p := range series.Points {
		middle := s.x(p.X+0.5) + (float64(n)-float64(len(c.Series)-1)/2)*width
		fmt.Fprintf(&s.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" class="k%d"><title>%s</title></rect>`+"\n",
			middle-width*0.46, s.y(p.Y), width*0.92, max(0, s.y(0)-s.y(p.Y)), color(n), html.EscapeString(series.Name+" "+c.Unit.Format(p.Y)))
		s.whisker(middle, p)
		if bare := c.Unit.bare(p.Y); textWidth*float64(len(bare)) < width {
			s.text(middle, s.y(max(p.Y, p.High))-5, "middle", "", bare)
		}
	}
}

func (s *svg) whisker(x float64, p Point) {
	if p.High > p.Low {
		fmt.Fprintf(&s.b, `<path d="M%.1f %.1fV%.1fM%.1f %.1fh6m-6 %.1fh6" class="whisker" fill="none"/>`+"\n",
			x, s.y(p.Low), s.y(p.High), x-3, s.y(p.High), s.y(p.Low)-s.y(p.High))
	}
}

// line draws one line with its points.
func (s *svg) line(c Chart, n int, series Series) {
	var path strings.Builder
	for i, p := range series.Points {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", verb, s.x(p.X), s.y(p.Y))
	}
	fmt.Fprintf(&s.b, `<path d="%s" fill="none" stroke-width="2.2" class="l%d"/>`+"\n", path.String(), color(n))
	for _, p := range series.Points {
		s.whisker(s.x(p.X), p)
		fmt.Fprintf(&s.b, `<circle cx="%.1f" cy="%.1f" r="3.5" class="k%d"><title>%s</title></circle>`+"\n",
			s.x(p.X), s.y(p.Y), color(n), html.EscapeString(fmt.Sprintf("%s %s: %s", series.Name, digits(p.X), c.Unit.Format(p.Y))))
	}
}

// legend names the colours, if there is more than one.
func (s *svg) legend(series []Series) {
	if len(series) < 2 {
		return
	}
	x, y := 10.0, 32.0
	for i, one := range series {
		wide := 34 + textWidth*float64(len([]rune(one.Name)))
		if x+wide > s.width {
			x, y = 10, y+15
		}
		fmt.Fprintf(&s.b, `<rect x="%.1f" y="%.1f" width="11" height="11" rx="2" class="k%d"/>`+"\n", x, y, color(i))
		s.text(x+16, y+10, "start", "", one.Name)
		x += wide
	}
}

// ticks returns round values from 0 to top, some four of them.
func ticks(top float64) []float64 { return ticksBetween(0, top) }

func ticksBetween(from, to float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/4)))
	for _, factor := range []float64{5, 2} {
		if (to-from)/(step*factor) >= 3 {
			step *= factor
			break
		}
	}
	var all []float64
	for v := math.Ceil(from/step) * step; v <= to+step/1e6; v += step {
		all = append(all, v)
	}
	return all
}

// powers are the powers of ten between two numbers, and both ends, without
// those that would touch the end.
func powers(from, to float64) []float64 {
	all := []float64{from}
	for v := math.Pow(10, math.Floor(math.Log10(from))+1); v < to/1.8; v *= 10 {
		all = append(all, v)
	}
	return append(all, to)
}

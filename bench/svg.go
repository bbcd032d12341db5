package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The size of a picture and what surrounds the plot, in pixels.
const (
	svgWidth, svgHeight         = 760.0, 330.0
	svgLeft, svgRight           = 92.0, 16.0
	svgTop, svgBottom           = 44.0, 52.0
	plotWidth                   = svgWidth - svgLeft - svgRight
	plotHeight                  = svgHeight - svgTop - svgBottom
	legendStep, legendCharacter = 26.0, 6.6
)

// svg collects the elements of one picture.
type svg struct {
	b strings.Builder
	// What the plot shows: x from x0 to x1, y from 0 to y1.
	x0, x1, y1 float64
}

// SVG draws the chart. The result is one svg element that a page can hold, and
// takes its colours from the classes s0, s1, ... of the page, or has its own.
func (c Chart) SVG() string {
	s := &svg{}
	s.scale(c)
	s.open(c.Title)
	s.grid(c)
	for i, series := range c.Series {
		if c.Bars {
			s.bars(c, i, series)
		} else {
			s.line(c, i, series)
		}
	}
	s.legend(c.Series)
	s.b.WriteString("</svg>\n")
	return s.b.String()
}

// colors are told apart by people who see red and green alike.
func color(i int) string {
	all := [...]string{"#0b6e99", "#d9822b", "#5b8c5a", "#9b59b6", "#c0392b", "#7f8c8d", "#2c3e50", "#b7950b"}
	return all[i%len(all)]
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
	if c.Bars {
		s.x0, s.x1 = 0, float64(max(1, len(c.Labels)))
	}
	if math.IsInf(s.x0, 0) {
		s.x0, s.x1 = 0, 1
	}
	if s.x1 == s.x0 {
		s.x1 = s.x0 + 1
	}
	if s.y1 <= 0 {
		s.y1 = 1
	}
}

func (s *svg) x(v float64) float64 { return svgLeft + (v-s.x0)/(s.x1-s.x0)*plotWidth }
func (s *svg) y(v float64) float64 { return svgTop + plotHeight - v/s.y1*plotHeight }

func (s *svg) open(title string) {
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" font-family="system-ui,sans-serif" font-size="12">`+"\n",
		svgWidth, svgHeight)
	fmt.Fprintf(&s.b, "<title>%s</title>\n", html.EscapeString(title))
	s.text(svgLeft, 18, "start", "600", title)
}

func (s *svg) text(x, y float64, anchor, weight, text string) {
	fmt.Fprintf(&s.b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-weight="%s" fill="currentColor">%s</text>`+"\n",
		x, y, anchor, weight, html.EscapeString(text))
}

// grid draws the axes: round values on the left, labels or values below.
func (s *svg) grid(c Chart) {
	for _, v := range ticks(s.y1) {
		y := s.y(v)
		fmt.Fprintf(&s.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="currentColor" stroke-opacity="0.15"/>`+"\n",
			svgLeft, y, svgWidth-svgRight, y)
		s.text(svgLeft-8, y+4, "end", "400", c.Unit.Format(v))
	}
	if c.Bars {
		s.labels(c.Labels)
		return
	}
	for _, v := range ticksBetween(s.x0, s.x1) {
		s.text(s.x(v), svgTop+plotHeight+18, "middle", "400", digits(v))
	}
	s.text(svgLeft+plotWidth/2, svgTop+plotHeight+38, "middle", "400", c.XName)
}

// labels writes the names of groups, on two levels where they are long.
func (s *svg) labels(labels []string) {
	room := plotWidth / float64(max(1, len(labels)))
	longest := 0
	for _, l := range labels {
		longest = max(longest, len([]rune(l)))
	}
	crowded := float64(longest)*legendCharacter > room
	for i, l := range labels {
		y := svgTop + plotHeight + 18
		if crowded && i%2 == 1 {
			y += 16
		}
		s.text(s.x(float64(i)+0.5), y, "middle", "400", l)
	}
}

// bars draws one colour of a bar chart, with whiskers from the lowest to the
// highest sample.
func (s *svg) bars(c Chart, n int, series Series) {
	group := plotWidth / max(1, s.x1-s.x0)
	width := min(64, group*0.8/float64(len(c.Series)))
	for _, p := range series.Points {
		middle := s.x(p.X+0.5) + (float64(n)-float64(len(c.Series)-1)/2)*width
		fmt.Fprintf(&s.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"><title>%s</title></rect>`+"\n",
			middle-width*0.46, s.y(p.Y), width*0.92, max(0, s.y(0)-s.y(p.Y)), color(n), html.EscapeString(series.Name+" "+c.Unit.Format(p.Y)))
		s.whisker(middle, p)
		if width > 34 {
			s.text(middle, s.y(max(p.Y, p.High))-5, "middle", "400", c.Unit.Format(p.Y))
		}
	}
}

func (s *svg) whisker(x float64, p Point) {
	if p.High > p.Low {
		fmt.Fprintf(&s.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="currentColor" stroke-width="1.5"/>`+"\n",
			x, s.y(p.Low), x, s.y(p.High))
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
	fmt.Fprintf(&s.b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), color(n))
	for _, p := range series.Points {
		s.whisker(s.x(p.X), p)
		fmt.Fprintf(&s.b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s</title></circle>`+"\n",
			s.x(p.X), s.y(p.Y), color(n), html.EscapeString(fmt.Sprintf("%s %s: %s", series.Name, digits(p.X), c.Unit.Format(p.Y))))
	}
}

// legend names the colours, if there is more than one.
func (s *svg) legend(series []Series) {
	if len(series) < 2 {
		return
	}
	x := svgLeft
	for i, one := range series {
		fmt.Fprintf(&s.b, `<rect x="%.1f" y="26" width="11" height="11" rx="2" fill="%s"/>`+"\n", x, color(i))
		s.text(x+16, 36, "start", "400", one.Name)
		x += legendStep + legendCharacter*float64(len([]rune(one.Name)))
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

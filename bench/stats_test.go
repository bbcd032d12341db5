package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	for _, test := range []struct {
		samples []float64
		want    Summary
	}{
		{nil, Summary{}},
		{[]float64{7}, Summary{7, 7, 7, 7, 7}},
		{[]float64{4, 1, 3, 2}, Summary{Median: 2.5, Low: 1.75, High: 3.25, Min: 1, Max: 4}},
		{[]float64{5, 1, 9, 3, 7}, Summary{Median: 5, Low: 3, High: 7, Min: 1, Max: 9}},
	} {
		if got := Summarize(test.samples); got != test.want {
			t.Errorf("%v: %+v, want %+v", test.samples, got, test.want)
		}
	}
}

func TestSummarizeLeavesSamplesAlone(t *testing.T) {
	samples := []float64{3, 1, 2}
	Summarize(samples)
	Quantile(samples, 0.99)
	if samples[0] != 3 {
		t.Error("samples were sorted")
	}
}

func TestQuantile(t *testing.T) {
	var samples []float64
	for i := range 101 {
		samples = append(samples, float64(i))
	}
	for q, want := range map[float64]float64{0: 0, 0.5: 50, 0.99: 99, 1: 100} {
		if got := Quantile(samples, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("%g: %g, want %g", q, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 {
		t.Error("a quantile of nothing")
	}
}

func TestRatiosAreRoundByRound(t *testing.T) {
	got := ratios([]float64{2, 6, 8}, []float64{1, 0, 2, 9})
	if len(got) != 2 || got[0] != 2 || got[1] != 4 {
		t.Errorf("%v", got)
	}
}

func TestUnitsReadWell(t *testing.T) {
	for _, test := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{BitsPerSecond, 3.66e9, "3.66 Gbit/s"},
		{PacketsPerSecond, 999, "999 packets/s"},
		{PacketsPerSecond, 1.5e6, "1.5 Mpackets/s"},
		{Bytes, 24 << 10, "24 KiB"},
		{Seconds, 0.0123, "12.3 ms"},
		{Seconds, 0.000004, "4 µs"},
		{Seconds, 60, "60 s"},
		{Seconds, 0, "0 s"},
		{Share, 0.613, "61.3 %"},
		{Times, 1.52, "1.52 x"},
		{PerSecond, 1234.5, "1234 /s"},
		{Count, 0.001, "0"},
	} {
		if got := test.unit.Format(test.v); got != test.want {
			t.Errorf("%v %s: %q, want %q", test.v, test.unit, got, test.want)
		}
	}
}

// wantXML fails the test unless the text is one well-formed element.
func wantXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	bars := rowsOf(`a "title" <with> & everything`, NewFigure("one", BitsPerSecond, 1e9, 2e9, 3e9), NewFigure("a name that is long", BitsPerSecond, 5e8),
		NewFigure("another name that is long", BitsPerSecond, 5e8), NewFigure("and one more of them here", BitsPerSecond, 5e8))
	lines := Chart{Title: "lines", Unit: PacketsPerSecond, XName: "sessions", Series: []Series{
		{Name: "x", Points: []Point{{X: 1, Y: 3}, {X: 20000, Y: 2, Low: 1, High: 4}}}, {Name: "y"},
	}}
	for name, c := range map[string]Chart{"bars": bars, "lines": lines, "empty": {}, "empty bars": {Kind: Groups}, "empty rows": {Kind: Rows}, "no ratios": {Kind: Ratios}, "zero": rowsOf("z", NewFigure("z", Count, 0))} {
		svg := c.SVG()
		wantXML(t, svg)
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: %s", name, svg)
		}
	}
	if svg := bars.SVG(); !strings.Contains(svg, "&lt;with&gt;") || strings.Count(svg, "<rect") != 4 {
		t.Error(svg)
	}
}

func TestBarsStandOnTheAxis(t *testing.T) {
	s := &svg{left: svgLeft, right: svgWidth - svgRight, top: svgTop, bottom: svgHeight - svgBottom}
	s.scale(Chart{Kind: Groups, Labels: []string{"a", "b"}, Series: []Series{{Points: []Point{{Y: 5}, {X: 1, Y: 10}}}}})
	if s.y(0) != s.bottom || s.y(10) <= s.top || s.y(10) > s.top+20 {
		t.Errorf("0 is at %g and the most at %g", s.y(0), s.y(10))
	}
}

func TestRatiosBeginAtOne(t *testing.T) {
	c := Chart{Kind: Ratios, Unit: Times, Series: []Series{{}}}
	c.row(0, "faster", "a against b", NewFigure("", Times, 90, 100, 110))
	c.row(0, "slower", "a against b", NewFigure("", Times, 0.5))
	s := &svg{left: 100, right: 500, log: true}
	s.scaleRows(c)
	if !(s.x(0.5) == 100 && s.x(1) > 100 && s.x(10)-s.x(1) > 0.99*(s.x(100)-s.x(10)) && s.x(110) == 500) {
		t.Errorf("%g %g %g %g", s.x(0.5), s.x(1), s.x(10), s.x(100))
	}
	if text := c.SVG(); strings.Count(text, "a against b") != 1 || !strings.Contains(text, "100 x (90–110)") {
		t.Error(text)
	}
}

func TestOneBarThatDwarfsAllIsCut(t *testing.T) {
	c := rowsOf("t", NewFigure("a", BitsPerSecond, 1e9), NewFigure("b", BitsPerSecond, 2e9), NewFigure("no VPN", BitsPerSecond, 20e9))
	if text := c.SVG(); !strings.Contains(text, "… 20 Gbit/s") || strings.Contains(text, "… 2 Gbit/s") {
		t.Error(text)
	}
}

func TestGoals(t *testing.T) {
	var s Section
	s.add("memory", Bytes, 10<<10)
	s.add("ratio", Times, 1.2)
	s.atMost("memory", 24<<10)
	s.atLeast("ratio", 1.5)
	s.atLeast("nothing", 1)
	all := Report{Sections: []Section{s}}.Goals()
	if len(all) != 2 || !all[0].Met() || all[1].Met() || all[0].Promise() != "at most 24 KiB" || all[1].Promise() != "at least 1.5 x" {
		t.Errorf("%+v", all)
	}
}

func TestGoodputUnderOverload(t *testing.T) {
	l := Series{Points: []Point{{X: 0.5, Y: 50}, {X: 1, Y: 100}, {X: 2, Y: 90}, {X: 2.5, Y: 200}, {X: 3, Y: 100}}}
	for x, want := range map[float64]float64{1: 1, 2: 0.9, 2.5: 0.9, 3: 0.5} {
		if got := l.left(x); got != want {
			t.Errorf("up to %g: %g, want %g", x, got, want)
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, top := range []float64{1, 3, 7.3, 12, 99, 1e9, 3.66e9, 0.004} {
		all := ticks(top)
		if len(all) < 3 || len(all) > 11 || all[0] != 0 || all[len(all)-1] > top*1.0001 {
			t.Errorf("%g: %v", top, all)
		}
	}
}

func testReport() Report {
	s := Section{Name: "crypto", Title: "ESP on one core"}
	s.add("seal <x>", BitsPerSecond, 1e9, 3e9)
	s.note("a & b")
	s.Charts = []Chart{rowsOf("Seal", s.Figures...)}
	return Report{Command: "culvert bench crypto", Started: time.Unix(0, 0).UTC(), Host: Host{CPU: "a <CPU>", Cores: 2}, Sections: []Section{s}}
}

func TestPage(t *testing.T) {
	page, err := testReport().Page()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "seal &lt;x&gt;", "a &amp; b", "a &lt;CPU&gt;", "2 Gbit/s"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
}

func TestReportDirectory(t *testing.T) {
	dir := t.TempDir() + "/new"
	if err := testReport().WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.html", "report.json", "report.md", "crypto-1.svg"} {
		if readAll(dir+"/"+name) == "" {
			t.Errorf("no %s", name)
		}
	}
	if err := CheckDir(dir + "/index.html"); !errors.Is(err, ErrOptions) {
		t.Errorf("a file as a directory: %v", err)
	}
}

func TestTables(t *testing.T) {
	ratios := Chart{Kind: Ratios, Title: "faster", Unit: Times, Series: []Series{{}}}
	ratios.row(0, "TCP", "a against b", NewFigure("", Times, 2, 3, 4))
	groups := Chart{Kind: Groups, Title: "Up", Unit: Count, Labels: []string{"64 B", "1400 B"}, Series: []Series{{Name: "x", Points: []Point{{Y: 1}, {X: 1, Y: 2}}}}}
	lines := Chart{Kind: Lines, Title: "Echo", Unit: Seconds, XName: "sessions", Series: []Series{{Name: "p50", Points: []Point{{X: 10000, Y: 0.001}}}}}
	r := testReport()
	r.Sections[0].Charts = []Chart{ratios, groups, lines}
	r.Sections[0].atLeast("seal <x>", 3e9)
	var b strings.Builder
	if err := r.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| seal <x> | at least 3 Gbit/s | 2 Gbit/s | 1 Gbit/s to 3 Gbit/s in 2 | **missed** |",
		"|  | faster |\n|---|---|\n| a against b, TCP | 3 x (2–4) |\n", "| x 1400 B | 2 |", "| sessions | Echo, p50 |\n|---|---|\n| 10 000 | 1 ms |", "Note: a & b.",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %s", want, b.String())
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := testReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "seal <x>        2 Gbit/s   1 Gbit/s to 3 Gbit/s in 2") {
		t.Error(b.String())
	}
}

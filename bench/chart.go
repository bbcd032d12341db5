package bench

// Chart is a picture of some figures.
type Chart struct {
	Title string `json:"title"`
	Unit  Unit   `json:"unit"`
	// Kind is how it is drawn.
	Kind  ChartKind `json:"kind"`
	XName string    `json:"x_name,omitempty"`
	// Labels are the names of groups of bars, or of rows; Headings stand above the
	// row where they change, and may be left out.
	Labels   []string `json:"labels,omitempty"`
	Headings []string `json:"headings,omitempty"`
	Series   []Series `json:"series"`
}

// ChartKind is a way of drawing.
type ChartKind string

// The kinds of charts.
const (
	Lines    ChartKind = "lines"     // over X
	LogLines ChartKind = "log lines" // over X, of which each power of ten takes as much room
	Groups   ChartKind = "groups"    // upright bars, a group for each label
	Rows     ChartKind = "rows"      // a bar for each label, one below the other
	Ratios   ChartKind = "ratios"    // rows that begin at 1, each power of ten as long
)

// Series is one line, or one colour of bars.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is one value with its spread. X counts on a line's axis, and is the
// index of the label with bars.
type Point struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Goal is marked beside the value; 0: none.
	Goal float64 `json:"goal,omitempty"`
}

// pointOf places a figure in a chart.
func pointOf(x float64, f Figure) Point {
	p := Point{X: x, Y: f.Median, Low: f.Min, High: f.Max}
	if f.Goal != nil {
		p.Goal = f.Goal.Value
	}
	return p
}

// rowsOf draws figures of one unit below each other.
func rowsOf(title string, figures ...Figure) Chart {
	c := Chart{Title: title, Kind: Rows, Series: []Series{{}}}
	for _, f := range figures {
		c.row(0, f.Name, "", f)
	}
	return c
}

// row adds a row in the colour of a series.
func (c *Chart) row(series int, label, heading string, f Figure) {
	c.Unit = f.Unit
	s := &c.Series[series]
	s.Points = append(s.Points, pointOf(float64(len(c.Labels)), f))
	c.Labels, c.Headings = append(c.Labels, label), append(c.Headings, heading)
}

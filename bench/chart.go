package bench

// Chart is a picture of some figures.
type Chart struct {
	Title string `json:"title"`
	Unit  Unit   `json:"unit"`
	// Bars draws a group of bars for each label; otherwise lines over X.
	Bars bool `json:"bars"`
	// Sideways lays bars from left to right, each with its name above it.
	Sideways bool     `json:"sideways,omitempty"`
	XName    string   `json:"x_name,omitempty"`
	Labels   []string `json:"labels,omitempty"` // of groups of bars
	Series   []Series `json:"series"`
}

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
	return Point{X: x, Y: f.Median, Low: f.Min, High: f.Max}
}

// barsOf draws figures of one unit next to each other.
func barsOf(title string, figures ...Figure) Chart {
	c := Chart{Title: title, Bars: true, Series: []Series{{}}}
	for i, f := range figures {
		c.Unit = f.Unit
		c.Labels = append(c.Labels, f.Name)
		c.Series[0].Points = append(c.Series[0].Points, pointOf(float64(i), f))
	}
	return c
}

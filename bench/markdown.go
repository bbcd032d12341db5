package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteMarkdown writes the report as tables for a document: what was promised,
// and what the charts show.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s, on %s; it took %.0f s.\n", r.Command, r.Host, r.Started.Format("2006-01-02"), r.Seconds)
	if goals := r.Goals(); len(goals) > 0 {
		b.WriteString("\n| promised | asked | median | lowest to highest | |\n|---|---|---|---|---|\n")
		for _, f := range goals {
			kept := "kept"
			if !f.Met() {
				kept = "**missed**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.Name, f.Promise(), f.Unit.Format(f.Median), f.Range(), kept)
		}
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n### %s\n", s.Title)
		if s.About != "" {
			fmt.Fprintf(&b, "\n%s\n", s.About)
		}
		for _, t := range tablesOf(s.Charts) {
			t.write(&b)
		}
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "\nNote: %s.\n", strings.TrimSuffix(n, "."))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table is what one or several charts show.
type table struct {
	corner  string
	columns []string
	rows    []string
	cells   map[[2]string]string // by row and column
}

func (t *table) set(row, column, cell string) {
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	if !slices.Contains(t.columns, column) {
		t.columns = append(t.columns, column)
	}
	t.cells[[2]string{row, column}] = cell
}

func (t *table) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n| %s | %s |\n|---|%s\n", t.corner, strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |", row)
		for _, column := range t.columns {
			fmt.Fprintf(b, " %s |", t.cells[[2]string{row, column}])
		}
		b.WriteByte('\n')
	}
}

// tablesOf makes tables of charts; those of one kind share one.
func tablesOf(charts []Chart) (tables []*table) {
	byKind := make(map[ChartKind]*table)
	for _, c := range charts {
		t := byKind[c.Kind]
		if t == nil || c.Kind == Lines {
			t = &table{corner: c.XName, cells: make(map[[2]string]string)}
			byKind[c.Kind] = t
			tables = append(tables, t)
		}
		for _, series := range c.Series {
			for _, p := range series.Points {
				row, column := c.place(series.Name, p)
				t.set(row, column, c.valueText(p, false))
			}
		}
	}
	return tables
}

// place is where in a table a point stands.
func (c Chart) place(series string, p Point) (row, column string) {
	switch c.Kind {
	case Rows, Ratios:
		row, column = c.Labels[int(p.X)], c.Title
		if h := c.heading(int(p.X)); h != "" {
			row = h + ", " + row
		}
		return row, column
	case Groups:
		return strings.Trim(series+" "+c.Labels[int(p.X)], " "), c.Title
	}
	return grouped(p.X), strings.Trim(c.Title+", "+series, ", ")
}

package bench

import "fmt"

// Goal is what a figure's median is meant to reach.
type Goal struct {
	Value  float64 `json:"value"`
	AtMost bool    `json:"at_most,omitempty"` // otherwise at least
}

// Met reports whether a value reaches the goal.
func (g Goal) Met(v float64) bool {
	if g.AtMost {
		return v <= g.Value
	}
	return v >= g.Value
}

// atLeast and atMost give the figure of that name a goal, if it is there.
func (s *Section) atLeast(name string, value float64) { s.goal(name, Goal{Value: value}) }
func (s *Section) atMost(name string, value float64)  { s.goal(name, Goal{Value: value, AtMost: true}) }

func (s *Section) goal(name string, g Goal) {
	for i := range s.Figures {
		if s.Figures[i].Name == name {
			s.Figures[i].Goal = &g
		}
	}
}

// Promise writes the goal of a figure in words; empty: it has none.
func (f Figure) Promise() string {
	if f.Goal == nil {
		return ""
	}
	words := "at least"
	if f.Goal.AtMost {
		words = "at most"
	}
	return fmt.Sprintf("%s %s", words, f.Unit.Format(f.Goal.Value))
}

// Met reports whether the median reaches the goal; without one it does.
func (f Figure) Met() bool { return f.Goal == nil || f.Goal.Met(f.Median) }

// Goals are the figures of a report that have a goal.
func (r Report) Goals() (all []Figure) {
	for _, s := range r.Sections {
		for _, f := range s.Figures {
			if f.Goal != nil {
				all = append(all, f)
			}
		}
	}
	return all
}

package bench

import (
	"encoding/json"
	"os"
)

// Join makes one report of several that were written as JSON. The description
// is that of the first, and the time that of all.
func Join(files ...string) (Report, error) {
	var joined Report
	for i, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return joined, failed("%w", err)
		}
		var r Report
		if err := json.Unmarshal(text, &r); err != nil {
			return joined, badOption("%s is no report: %v", name, err)
		}
		if i == 0 {
			joined = r
			continue
		}
		joined.Seconds += r.Seconds
		joined.Sections = append(joined.Sections, r.Sections...)
	}
	return joined, nil
}

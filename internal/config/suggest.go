package config

import (
	"fmt"
	"strings"
)

// suggest returns the key of the table that was probably meant, empty when
// none is near, and says what to write: that key, or one of all.
func suggest(key string, table []field) (meant, remedy string) {
	best, bestCost := "", 3
	all := make([]string, 0, len(table))
	for _, f := range table {
		if f.former() {
			continue
		}
		all = append(all, f.key)
		if cost := distance(normal(key), normal(f.key)); cost < bestCost {
			best, bestCost = f.key, cost
		}
	}
	if best != "" && bestCost < len(key) {
		return best, fmt.Sprintf("did you mean %q?", best)
	}
	return "", "its keys are " + strings.Join(all, ", ")
}

// normal writes a key as this file's are written.
func normal(key string) string {
	return strings.ReplaceAll(strings.ToLower(key), "-", "_")
}

// distance counts the insertions, deletions and substitutions between two
// keys (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package fault

import (
	"strings"
	"testing"
)

func fail(l *Log) {
	defer l.Recover("a test")
	var list []int
	_ = list[len(list)]
}

// TestPanicsAreCountedAndTold: each is counted; the first are told, with their
// stack, and a flood of them is not.
func TestPanicsAreCountedAndTold(t *testing.T) {
	var told []Report
	l := New(func(r Report) { told = append(told, r) })
	for range 1000 {
		fail(l)
	}
	if l.Count() != 1000 || len(told) < tellFirst || len(told) > 100 {
		t.Fatalf("%d counted, %d told", l.Count(), len(told))
	}
	r := told[0]
	if r.Where != "a test" || !strings.Contains(r.What, "out of range") || !strings.Contains(r.Stack, "fault.fail") || r.Count != 1 {
		t.Errorf("%+v", r)
	}
}

// TestWithoutALog: a panic stays one.
func TestWithoutALog(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was swallowed")
		}
	}()
	fail(nil)
}

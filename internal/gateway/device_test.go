package gateway

import "testing"

func TestQueuesFollowWorkers(t *testing.T) {
	for workers, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 16: 8, 1024: maxTUNQueues} {
		if got := tunQueues(workers); got != want {
			t.Errorf("%d workers: %d queues, want %d", workers, got, want)
		}
	}
	if tunQueues(0) < 1 {
		t.Error("no queue for as many workers as there are CPUs")
	}
}

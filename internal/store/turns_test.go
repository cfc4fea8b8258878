package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// In a line each waits until the one before has ended, in order.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		var order []int
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				waited, end, err := ts.take(t.Context(), "/a")
				if err != nil || waited != (i > 0) {
					t.Errorf("turn %d: waited is %v, %v", i, waited, err)
				}
				order = append(order, i)
				time.Sleep(turnTime / 2)
				end()
			})
			synctest.Wait()
		}
		if waited, end, err := ts.take(t.Context(), "/b"); waited || err != nil {
			t.Errorf("another key: waited is %v, %v", waited, err)
		} else {
			end()
		}
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took != 5*turnTime/2 {
			t.Errorf("five turns took %v, want %v", took, 5*turnTime/2)
		}
		for i, n := range order {
			if i != n {
				t.Errorf("they came in the order %v", order)
				break
			}
		}
		if len(ts.lines) != 0 {
			t.Errorf("%d lines are left", len(ts.lines))
		}
	})
}

// Who has the turn and does not end it keeps each of the others for a moment only.
func TestTurnsEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		_, late, _ := ts.take(t.Context(), "/a")
		began := time.Now()
		_, end, err := ts.take(t.Context(), "/a")
		if took := time.Since(began); err != nil || took != turnTime {
			t.Fatalf("the next began after %v, %v; want %v", took, err, turnTime)
		}
		late() // does not end the other's
		var next sync.WaitGroup
		next.Go(func() {
			_, end, _ := ts.take(t.Context(), "/a")
			end()
		})
		began = time.Now()
		time.Sleep(turnTime / 4)
		end()
		next.Wait()
		if took := time.Since(began); took != turnTime/4 || len(ts.lines) != 0 {
			t.Errorf("the third began after %v, and %d lines are left", took, len(ts.lines))
		}
	})
}

// A line has an end, and who gives up leaves it.
func TestTurnsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		_, end, _ := ts.take(t.Context(), "/a")
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range maxInLine {
			all.Go(func() {
				if _, _, err := ts.take(ctx, "/a"); !errors.Is(err, context.Canceled) {
					t.Errorf("take = %v, want that it was cancelled", err)
				}
			})
		}
		synctest.Wait()
		if _, _, err := ts.take(t.Context(), "/a"); !errors.Is(err, ErrConflict) {
			t.Errorf("in a full line: %v", err)
		}
		cancel()
		all.Wait()
		end()
		if len(ts.lines) != 0 {
			t.Errorf("%d lines are left", len(ts.lines))
		}
	})
}

package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// Room is the size of etcd's database, and the most that it may become.
type Room struct {
	Size  int64 // of the file: etcd compares it with the quota
	Quota int64 // 0: not known, or none
}

// reserved is the part of the quota that is kept for deletions, one in ten: most
// of them write something, such as when an object was deleted.
const reserved = 10

// Full reports whether only the reserve is left.
func (r Room) Full() bool { return r.Quota > 0 && r.Size >= r.Quota-r.Quota/reserved }

const (
	roomEvery   = 10 * time.Second
	roomTimeout = 2 * time.Second
)

// room is etcd's Room as it was measured last.
type room struct {
	last    atomic.Pointer[Room]
	written atomic.Int64  // since it was measured, by this replica
	ask     chan struct{} // asks for a measurement before the next is due
}

// Room is as of the last ten seconds.
func (s *Store) Room() Room {
	if r := s.room.last.Load(); r != nil {
		return *r
	}
	return Room{}
}

// CheckRoom fails while the store takes nothing new.
func (s *Store) CheckRoom(context.Context) error {
	if r := s.Room(); r.Full() {
		return fmt.Errorf("the store is nearly full: %d of %d bytes: delete what is not needed, or give it a larger quota", r.Size, r.Quota)
	}
	return nil
}

// admit refuses writes that make a full store larger. Deletions and changes pass, so
// that it can be emptied.
func (s *Store) admit(t *transaction) error {
	r := s.Room()
	if r.Quota > 0 && s.room.written.Add(int64(t.bytes)) > r.Quota/reserved/4 {
		select {
		case s.room.ask <- struct{}{}:
		default:
		}
	}
	if r.Full() && (t.creates || t.blobs) && !t.deletes {
		return apierr.Wrap(fmt.Errorf("%w: what is left of its quota is for deletions", ErrFull), apierr.Unavailable,
			"The server's store is full. What is not needed can be deleted.")
	}
	return nil
}

// followRoom measures now and then, and when much was written.
func (s *Store) followRoom(ctx context.Context) error {
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	full := false
	for {
		s.measure(ctx)
		if err := s.CheckRoom(ctx); (err != nil) != full {
			full = err != nil
			if full {
				s.c.Log.ErrorContext(ctx, "the store takes nothing new", "error", err)
			} else {
				s.c.Log.InfoContext(ctx, "the store has room again")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.room.ask:
		}
	}
}

// measure asks each member, for each has a file of its own; the fullest counts. An
// etcd before 3.6 does not tell its quota.
func (s *Store) measure(ctx context.Context) {
	var worst *Room
	s.room.written.Store(0)
	for _, m := range s.members.all {
		if m.client.Maintenance == nil || !m.connected() {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, roomTimeout)
		status, err := m.client.Status(ctx, "")
		cancel()
		if err != nil {
			continue // Ping and LastTouch show that etcd does not answer
		}
		r := &Room{Size: status.DbSize, Quota: status.DbSizeQuota}
		if worst == nil || float64(r.Size)*float64(worst.Quota) > float64(worst.Size)*float64(r.Quota) {
			worst = r
		}
	}
	if worst != nil {
		s.room.last.Store(worst)
	}
}

// Collectors are the store's metrics.
func (s *Store) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_store_bytes",
			Help: "Size of etcd's database, of the fullest member.",
		}, func() float64 { return float64(s.Room().Size) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_store_quota_bytes",
			Help: "What etcd's database may grow to; 0 when etcd does not tell.",
		}, func() float64 { return float64(s.Room().Quota) }),
	}
}

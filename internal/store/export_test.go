package store

import "context"

// Queued is how many commits wait for the one that is on its way.
func Queued(s *Store) int {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return len(s.group.queue)
}

// Prefer has a member asked first, by the index of its endpoint.
func Prefer(s *Store, i int) {
	s.members.prefer(s.members.all[i])
	s.members.all[i].out.Store(0)
}

// Measure looks at etcd's room now.
func Measure(s *Store) { s.measure(context.Background()) }

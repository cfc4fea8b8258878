package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	defragEvery   = time.Hour
	defragMinFree = 64 << 20
	alarmEvery    = 10 * time.Second
)

// Run waits until ctx ends or the server fails; it also defragments when much
// of the file is free, logs the quota alarm, and ends it when there is room again.
func (s *Server) Run(ctx context.Context) error {
	defrag, alarm := time.NewTicker(defragEvery), time.NewTicker(alarmEvery)
	defer defrag.Stop()
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.fatal.done:
			return fmt.Errorf("etcd stopped: %w", s.explain(s.fatal.err))
		case err := <-s.etcd.Err():
			return fmt.Errorf("etcd stopped: %w", err)
		case <-s.etcd.Server.StopNotify():
			return errors.New("etcd stopped")
		case <-defrag.C:
			b := s.etcd.Server.Backend()
			if free := b.Size() - b.SizeInUse(); free >= defragMinFree && free >= b.Size()/2 {
				s.defragment(ctx)
			}
		case <-alarm.C:
			s.checkAlarm(ctx)
		}
	}
}

// Size is the bytes of the database, and the most that it may have.
func (s *Server) Size() (size, quota int64) {
	return s.etcd.Server.Backend().Size(), s.etcd.Server.Cfg.QuotaBackendBytes
}

// defragment gives the file's free pages back. It stops writes while it copies the
// others.
func (s *Server) defragment(ctx context.Context) {
	before := s.etcd.Server.Backend().Size()
	if err := s.etcd.Server.Defragment(); err != nil {
		s.log.ErrorContext(ctx, "defragmenting the store", "error", err)
		return
	}
	s.log.InfoContext(ctx, "defragmented the store", "before", before, "after", s.etcd.Server.Backend().Size())
}

// checkAlarm sees to a database that is full or nearly so: drop the history, give
// the space back, and when that is enough, take the quota alarm back, which makes
// etcd refuse writes until that is done by hand.
func (s *Server) checkAlarm(ctx context.Context) {
	quota := s.etcd.Server.Cfg.QuotaBackendBytes
	alarmed := s.alarmed()
	if !alarmed {
		s.full = false
	}
	if !alarmed && s.etcd.Server.Backend().Size() < quota/10*9 {
		return
	}
	if alarmed && !s.full {
		s.full = true
		s.log.ErrorContext(ctx, "the store is full: delete what is not needed, or give it a larger quota",
			"size", s.etcd.Server.Backend().Size(), "quota", quota)
	}
	enough := quota / 10 * 9
	if !alarmed {
		enough = quota / 4 * 3 // so that it is not copied again and again for little
	}
	if err := s.makeRoom(ctx, enough, alarmed); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "making room in the store", "error", err)
	}
}

func (s *Server) alarmed() bool {
	for _, a := range s.etcd.Server.Alarms() {
		if a.Alarm == etcdserverpb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// makeRoom brings the database below enough, if its used pages fit into that.
func (s *Server) makeRoom(ctx context.Context, enough int64, alarmed bool) error {
	rev := s.etcd.Server.KV().Rev()
	if first := s.etcd.Server.KV().FirstRev(); first < rev {
		if _, err := s.client.Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
	}
	b := s.etcd.Server.Backend()
	b.ForceCommit() // freed pages count only then
	if b.SizeInUse() > enough {
		return nil
	}
	if b.Size() > enough {
		s.defragment(ctx)
	}
	if b = s.etcd.Server.Backend(); b.Size() > enough || !alarmed {
		return nil
	}
	if _, err := s.client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("taking the alarm back: %w", err)
	}
	s.log.InfoContext(ctx, "the store takes writes again", "size", b.Size())
	return nil
}

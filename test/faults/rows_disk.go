package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// disk is a small one that can be filled up.
type disk struct{ dir string }

func newDisk(dir, size string) (disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return disk{}, err
	}
	return disk{dir}, syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size)
}

// fill leaves no byte free.
func (d disk) fill() error {
	f, err := os.Create(filepath.Join(d.dir, "ballast"))
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	return nil
}

func (d disk) empty() error { return os.Remove(filepath.Join(d.dir, "ballast")) }

func (d disk) close() { syscall.Unmount(d.dir, syscall.MNT_DETACH) }

// auditFull fills the disk of one server's audit log: what it cannot record it must not
// do, and once there is room it goes on by itself.
func auditFull(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	d, err := newDisk(filepath.Join(l.dir, "server-0", "audit"), "16m")
	if err != nil {
		return err
	}
	defer d.close()
	if err := l.bring(ctx, nil); err != nil {
		return err
	}
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	probes := []*probe{l.surface(l.nodes[0], "token", l.secretForm(armURL)), l.surface(l.nodes[1], "token", l.secretForm(armURL))}
	p := startProbes(ctx, probes...)
	if err := d.fill(); err != nil {
		return err
	}
	from := time.Now()
	time.Sleep(3 * time.Second)
	to := time.Now()
	if err := d.empty(); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	p.stop()
	r.figure("full: server A granted %.0f %%, B %.0f %%", share(from, to, probes[0]), share(from, to, probes[1]))
	back, ok := probes[0].backAfter(to)
	r.check(ok && back < s.limit(3*time.Second, time.Second), "A is back %s after there is room", round(back))
	return w.judge(ctx, r)
}

// loneFull fills the disk of a server with its own etcd, in the middle of writes.
func loneFull(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	n := l.addNode()
	d, err := newDisk(n.dir, "320m")
	if err != nil {
		return err
	}
	defer d.close()
	if err := n.start(); err != nil {
		return err
	}
	if err := l.furnish(ctx); err != nil {
		return err
	}
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	if err := d.fill(); err != nil {
		return err
	}
	l.writeMuch(ctx, n, s.limit(5*time.Second, 20*time.Second))
	if n.p.ended() {
		r.figure("the server ended")
		fault := n.judgeWords()
		r.keep(fault == nil, "full under load: %v", fault)
	} else {
		r.figure("the server stayed up")
		r.keep(!stackTrace(n.p.out.String()), "a stack trace: %.300q", lastLine(n.p.out.String()))
		n.p.kill()
	}
	up, fault := n.startOrSay()
	r.figure("a start on the full disk: up %t", up)
	r.keep(fault == nil, "a start on the full disk: %v", fault)
	if err := d.empty(); err != nil {
		return err
	}
	if err := n.start(); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	time.Sleep(500 * time.Millisecond)
	return w.judge(ctx, r)
}

// writeMuch sets large secrets until the server has ended or the time has.
func (l *lab) writeMuch(ctx context.Context, n *node, limit time.Duration) {
	body := strings.Repeat("x", 20_000)
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && !n.p.ended(); {
		reqCtx, cancel := context.WithTimeout(ctx, requestLimit)
		a := l.setSecret("much", body).send(reqCtx, n.http)
		cancel()
		if !a.ok() {
			time.Sleep(pause)
		}
	}
}

// memberFull fills the disk of one member: the other two are enough.
func memberFull(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	d, err := newDisk(filepath.Join(l.dir, "etcd-1"), "320m")
	if err != nil {
		return err
	}
	defer d.close()
	if err := l.bring(ctx, nil); err != nil {
		return err
	}
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	rawRead, rawWrite := l.etcd.rawProbes()
	readers, writers := l.readers(), l.writers()
	p := startProbes(ctx, slices.Concat(readers, writers, []*probe{rawRead, rawWrite})...)
	time.Sleep(time.Second)
	from := time.Now()
	if err := d.fill(); err != nil {
		return err
	}
	l.writeMuch(ctx, l.nodes[0], 20*time.Second)
	to := time.Now()
	p.stop()
	r.figure("the member ended: %t", l.etcd.members[0].p.ended())
	reads, writes := share(from, to, readers...), share(from, to, writers...)
	r.check(reads >= wantReads-slack, "reads %.1f %% (raw etcd %.1f)", reads, share(from, to, rawRead))
	r.check(writes >= share(from, to, rawWrite)-2*slack, "writes %.1f %% (raw etcd %.1f)", writes, share(from, to, rawWrite))
	l.lastErrors(r, append(readers, writers...))
	return w.judge(ctx, r)
}

// quotaFull fills etcd's quota: reads go on, writes are refused in words, and once its
// operator has made room all goes on by itself.
func quotaFull(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	if err := l.bring(ctx, []string{"--quota-backend-bytes", fmt.Sprint(24 << 20)}); err != nil {
		return err
	}
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	if err := l.etcd.fillQuota(ctx); err != nil {
		return err
	}
	time.Sleep(time.Second)
	for _, n := range l.nodes {
		a := l.setSecret("refused", "x").send(ctx, n.http)
		r.keep(a.err == nil && a.status >= 500 && a.has("full"), "a write with a full quota, want a refusal that says so: %s", a)
		a = l.secret("GET", vaultName, "/secrets/shared/", "").send(ctx, n.http)
		r.keep(a.ok(), "a read with a full quota: %s", a)
		a = l.secretForm(armURL).send(ctx, n.http)
		r.keep(a.ok(), "a token with a full quota: %s", a)
	}
	p := startProbes(ctx, l.writers()...)
	if err := l.etcd.emptyQuota(ctx); err != nil {
		return err
	}
	room := time.Now()
	p.settle(room, 5*time.Second)
	p.stop()
	l.recovered(r, room, p.all, s.limit(3*time.Second, 2*time.Second))
	return w.judge(ctx, r)
}

func (e *etcd) fillQuota(ctx context.Context) error {
	block := strings.Repeat("x", 1<<20)
	for i := range 200 {
		if _, err := e.raw.Put(ctx, fmt.Sprintf("ballast/%d", i), block); errors.Is(err, rpctypes.ErrNoSpace) {
			return nil
		}
	}
	return errors.New("etcd's quota cannot be filled")
}

// emptyQuota does what etcd's manual says: https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
func (e *etcd) emptyQuota(ctx context.Context) error {
	var rev int64
	for i := range 200 {
		res, err := e.raw.Delete(ctx, fmt.Sprintf("ballast/%d", i))
		if err != nil {
			return err
		}
		rev = res.Header.Revision
	}
	if _, err := e.raw.Compact(ctx, rev-1); err != nil {
		return err
	}
	for _, m := range e.members {
		if _, err := e.raw.Defragment(ctx, m.client); err != nil {
			return err
		}
	}
	alarms, err := e.raw.AlarmList(ctx)
	if err != nil {
		return err
	}
	for _, a := range alarms.Alarms {
		if _, err := e.raw.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return err
		}
	}
	return nil
}

// slowDisk stops the leader for 150 ms of each 200, which is what a disk that stalls in
// each sync looks like from outside.
func slowDisk(ctx context.Context, s *suite, r *report) error {
	l, w, err := s.loaded(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	m, err := l.etcd.leader(ctx)
	if err != nil {
		return err
	}
	rawRead, rawWrite := l.etcd.rawProbes()
	readers, writers := l.readers(), l.writers()
	p := startProbes(ctx, slices.Concat(readers, writers, []*probe{rawRead, rawWrite})...)
	from := time.Now()
	for time.Since(from) < 20*time.Second {
		m.freeze()
		time.Sleep(150 * time.Millisecond)
		m.thaw()
		time.Sleep(50 * time.Millisecond)
	}
	to := time.Now()
	p.stop()
	reads, writes := share(from, to, readers...), share(from, to, writers...)
	rawReads, rawWrites := share(from, to, rawRead), share(from, to, rawWrite)
	r.check(reads >= min(wantReads, rawReads)-slack, "reads %.1f %% (raw etcd %.1f)", reads, rawReads)
	r.check(writes >= rawWrites-5*slack, "writes %.1f %% (raw etcd %.1f)", writes, rawWrites)
	l.lastErrors(r, append(readers, writers...))
	return w.judge(ctx, r)
}

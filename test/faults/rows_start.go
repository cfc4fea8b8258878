package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// firstStartCut kills the first start of a new store at many points: the next start
// must come up, and the administrator's credentials must open it.
func firstStartCut(external bool) func(context.Context, *suite, *report) error {
	return func(ctx context.Context, s *suite, r *report) error {
		l, err := s.newLab()
		defer l.close()
		if err != nil {
			return err
		}
		if external {
			if l.etcd, err = startEtcd(ctx, s.sp, s.etcd, l.dir, l.subnet); err != nil {
				return err
			}
		}
		whole, err := l.freshNode(0)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := whole.start(); err != nil {
			return err
		}
		takes := time.Since(began)
		whole.p.kill()
		points, up := s.rounds(10, 150), 0
		for i := range points {
			// Most of what is written is written late.
			at := time.Duration(rand.Float64() * 1.1 * float64(takes))
			if err := l.cutStart(ctx, i+1, at); err != nil {
				r.keep(false, "cut after %s: %v", round(at), err)
				continue
			}
			up++
		}
		r.figure("%d of %d second starts came up; a first start takes %s", up, points, round(takes))
		return nil
	}
}

// freshNode is a server with an empty data directory and a prefix of its own.
func (l *lab) freshNode(i int) (*node, error) {
	l.nodes = nil
	n := l.addNode()
	n.dir = filepath.Join(l.dir, fmt.Sprintf("fresh-%d", i))
	if l.etcd != nil {
		n.flags = append(n.flags, "--etcd-prefix", fmt.Sprintf("/fresh-%d", i))
	}
	return n, os.MkdirAll(n.dir, 0o700)
}

func (l *lab) cutStart(ctx context.Context, i int, at time.Duration) error {
	n, err := l.freshNode(i)
	if err != nil {
		return err
	}
	defer os.RemoveAll(n.dir)
	if err := n.launch(); err != nil {
		return err
	}
	time.Sleep(at)
	n.p.kill()
	defer func() { n.p.kill() }()
	if err := n.start(); err != nil {
		return err
	}
	if err := l.readAdmin(); err != nil {
		return fmt.Errorf("the administrator is locked out: %w", err)
	}
	if err := l.signIn(ctx, n.http); err != nil {
		return err
	}
	return l.put(ctx, l.group+"?api-version=2021-04-01", location, nil)
}

// fewHandles starts the server with fewer and fewer file handles: it comes up, or it
// ends in time with a sentence.
func fewHandles(ctx context.Context, s *suite, r *report) error {
	if _, err := exec.LookPath("prlimit"); err != nil {
		r.skipped = "there is no prlimit (util-linux)"
		return nil
	}
	limits := []int{16, 40, 64, 100, 140, 200, 300}
	if s.short {
		limits = []int{16, 64, 140}
	}
	up, said := 0, 0
	for _, external := range []bool{false, true} {
		l, err := s.newLab()
		if err == nil && external {
			l.etcd, err = startEtcd(ctx, s.sp, s.etcd, l.dir, l.subnet)
		}
		for i, limit := range limits {
			if err != nil {
				break
			}
			var n *node
			if n, err = l.freshNode(i); err != nil {
				break
			}
			n.limits = []string{"prlimit", fmt.Sprintf("--nofile=%d", limit)}
			ok, fault := n.startOrSay()
			if ok {
				up++
			} else {
				said++
			}
			r.keep(fault == nil, "%d file handles (external etcd: %t): %v", limit, external, fault)
		}
		l.close()
		if err != nil {
			return err
		}
	}
	r.figure("%d starts came up, %d ended with a sentence or as red says", up, said)
	return nil
}

// startOrSay starts a server that may not be able to: it must be up in time, or end
// with an error in a sentence. It is killed afterwards.
func (n *node) startOrSay(flags ...string) (up bool, fault error) {
	if err := n.launch(flags...); err != nil {
		return false, err
	}
	defer n.p.kill()
	deadline := time.Now().Add(startLimit)
	for !n.p.ended() && time.Now().Before(deadline) {
		if strings.Contains(n.p.out.String(), "lanyard is up") {
			return true, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false, n.judgeWords()
}

// judgeWords holds what an ended server said against what a person needs.
func (n *node) judgeWords() error {
	said := n.p.out.String()
	switch {
	case !n.p.ended():
		return fmt.Errorf("neither up nor ended after %s: %.900q", startLimit, n.hangs())
	case stackTrace(said):
		return fmt.Errorf("it ended with a stack trace: %.300q", lastLine(said))
	case !strings.Contains(said, "error: "):
		return fmt.Errorf("it ended without an error in words: %.300q", lastLine(said))
	}
	return nil
}

// damaged starts servers whose database was damaged: a sentence, no stack trace.
func damaged(ctx context.Context, s *suite, r *report) error {
	l, err := s.single(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	n := l.nodes[0]
	if err := n.stop(startLimit); err != nil {
		return err
	}
	files, err := etcdFiles(n.dir)
	if err != nil {
		return err
	}
	up, said := 0, 0
	for _, f := range files {
		for _, d := range damages {
			copied := *n
			copied.dir = n.dir + "-copy"
			if err := os.CopyFS(copied.dir, os.DirFS(n.dir)); err != nil {
				return err
			}
			if err := d.do(filepath.Join(copied.dir, f)); err != nil {
				return err
			}
			ok, fault := copied.startOrSay()
			if ok {
				up++
			} else {
				said++
			}
			r.keep(fault == nil, "%s %s: %v", filepath.Base(f), d.name, fault)
			if err := os.RemoveAll(copied.dir); err != nil {
				return err
			}
		}
	}
	r.figure("%d damages: %d came up, %d ended with a sentence or as red says", up+said, up, said)
	return nil
}

// etcdFiles are the embedded etcd's database and log, below dir.
func etcdFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(filepath.Join(dir, "etcd"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); name == "db" || strings.HasSuffix(name, "-0000000000000000.wal") {
			rel, err := filepath.Rel(dir, path)
			files = append(files, rel)
			return err
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no database below %s", dir)
	}
	return files, err
}

// damages are what a bad disk or a hasty hand does to a file.
var damages = []struct {
	name string
	do   func(path string) error
}{
	{"cut to nothing", func(p string) error { return os.Truncate(p, 0) }},
	{"cut short", func(p string) error { return os.Truncate(p, 5000) }},
	{"gone", os.Remove},
	{"overwritten", func(p string) error {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte(strings.Repeat("damage! ", 3000)), 0)
		return err
	}},
	{"overwritten within", func(p string) error {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte(strings.Repeat("damage! ", 3000)), 8192)
		return err
	}},
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// members is how many an etcd here has: the fewest that survive the loss of one.
const members = 3

// etcd is a cluster of real members, each a process.
type etcd struct {
	program string
	sp      *spawner
	net     *network
	members [members]*member
	raw     *clientv3.Client // a plain client, the bound
}

type member struct {
	name, dir    string
	client, peer string // URLs that others use
	listenPeer   string
	extra        []string

	p *proc

	mu sync.Mutex
	id string // hex; guarded by mu
}

// startEtcd starts three members on 127.x.y.1 to .3. extra are further flags.
func startEtcd(ctx context.Context, sp *spawner, program, dir, subnet string, extra ...string) (*etcd, error) {
	e := &etcd{program: program, sp: sp, net: newNetwork()}
	for i := range e.members {
		host := fmt.Sprintf("%s.%d", subnet, i+1)
		m := &member{
			name: fmt.Sprintf("m%d", i+1), dir: filepath.Join(dir, fmt.Sprintf("etcd-%d", i+1)), extra: extra,
			client: "http://" + host + ":2379", peer: "http://" + host + ":2380", listenPeer: "http://" + host + ":2390",
		}
		e.members[i] = m
		if err := e.net.forward(host+":2380", host+":2390", m.ID); err != nil {
			return e, err
		}
	}
	for _, m := range e.members {
		if err := e.start(m); err != nil {
			return e, err
		}
	}
	var err error
	if e.raw, err = e.client(); err != nil {
		return e, err
	}
	return e, e.learn(ctx)
}

// ID is the member's id in hex, once known.
func (m *member) ID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

func (e *etcd) start(m *member) error {
	var cluster []string
	for _, o := range e.members {
		cluster = append(cluster, o.name+"="+o.peer)
	}
	args := append([]string{
		"--name", m.name, "--data-dir", m.dir, "--logger", "zap", "--log-level", "error",
		"--listen-client-urls", m.client, "--advertise-client-urls", m.client,
		"--listen-peer-urls", m.listenPeer, "--initial-advertise-peer-urls", m.peer,
		"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-token", m.dir[:len(m.dir)-2],
	}, m.extra...)
	p, err := e.sp.start(exec.Command(e.program, args...))
	m.p = p
	return err
}

// client is what an operator's own program would use: all members, defaults, and the
// keepalive that etcd's documents recommend.
func (e *etcd) client() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: e.endpoints(), Logger: zap.NewNop(), DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
	})
}

func (e *etcd) endpoints() []string {
	var urls []string
	for _, m := range e.members {
		urls = append(urls, m.client)
	}
	return urls
}

// learn waits until the members are one cluster, and reads their ids.
func (e *etcd) learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	list, err := e.raw.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("etcd does not come up: %w", err)
	}
	for _, m := range e.members {
		for _, o := range list.Members {
			if len(o.PeerURLs) == 1 && o.PeerURLs[0] == m.peer {
				m.mu.Lock()
				m.id = fmt.Sprintf("%x", o.ID)
				m.mu.Unlock()
			}
		}
		if m.ID() == "" {
			return fmt.Errorf("member %s is not in the cluster", m.name)
		}
	}
	return nil
}

// leader is the member that leads, asked of the members themselves.
func (e *etcd) leader(ctx context.Context) (*member, error) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, m := range e.members {
			askCtx, cancel := context.WithTimeout(ctx, time.Second)
			status, err := e.raw.Status(askCtx, m.client)
			cancel()
			if err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId {
				return m, nil
			}
		}
	}
	return nil, fmt.Errorf("etcd has no leader")
}

// follower is a member that does not lead.
func (e *etcd) follower(ctx context.Context) (*member, error) {
	leader, err := e.leader(ctx)
	for _, m := range e.members {
		if m != leader {
			return m, err
		}
	}
	return nil, err
}

// back waits until a member answers a linearizable read, asked afresh each time, and
// gives the time when it did.
func (e *etcd) back(ctx context.Context, limit time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 500 * time.Millisecond}
	for ctx.Err() == nil {
		for _, m := range e.members {
			req, err := http.NewRequestWithContext(ctx, "GET", m.client+"/health", nil)
			if err != nil {
				return time.Time{}, err
			}
			if res, err := h.Do(req); err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return time.Now(), nil
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Time{}, fmt.Errorf("etcd is not back after %s", limit)
}

func (m *member) freeze() { m.p.signal(syscall.SIGSTOP) }
func (m *member) thaw()   { m.p.signal(syscall.SIGCONT) }

func (e *etcd) close() {
	if e.raw != nil {
		e.raw.Close()
	}
	for _, m := range e.members {
		if m != nil {
			m.p.kill()
		}
	}
	e.net.close()
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// badStart is a start on an etcd that will not do.
type badStart struct {
	name  string
	flags []string
	want  string // in what the server says: the way out
}

// badEtcd starts servers on etcds that refuse them, hang or are none. Each ends in
// time, and with a sentence that says the way out.
func badEtcd(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	if l.etcd, err = startEtcd(ctx, s.sp, s.etcd, l.dir, l.subnet); err != nil {
		return err
	}
	users, err := l.users(ctx)
	if err != nil {
		return err
	}
	secured, stop, err := l.securedEtcd()
	if err != nil {
		return err
	}
	defer stop()
	impostors, stop, err := l.impostors()
	if err != nil {
		return err
	}
	defer stop()
	starts := append(append(users, secured...), impostors...)
	r.figure("%d starts, each ended with the way out; the slowest after %s", len(starts), round(l.startAll(r, starts)))
	if s.short {
		return nil
	}

	// A member that hangs, and one without the others.
	l.etcd.members[0].freeze()
	l.etcd.members[1].p.kill()
	hung := []badStart{
		{"frozen", []string{"--etcd-endpoints", l.etcd.members[0].client}, "did not answer within"},
		{"no-leader", []string{"--etcd-endpoints", l.etcd.members[2].client}, "did not answer within"},
	}
	r.figure("etcd that hangs: after %s", round(l.startAll(r, hung)))
	return nil
}

// startAll starts a server for each, side by side, and gives what the slowest took.
func (l *lab) startAll(r *report, starts []badStart) (slowest time.Duration) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	for i, b := range starts {
		n := &node{program: l.lanyard, name: b.name, dir: filepath.Join(l.dir, "bad-"+b.name), addr: fmt.Sprintf("%s.%d:7443", l.subnet, 100+i), debug: "off", flags: b.flags, sp: l.sp}
		wait.Go(func() {
			began := time.Now()
			up, fault := n.startOrSay()
			said := lastLine(strings.TrimSpace(n.p.out.String()))
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, time.Since(began))
			switch {
			case fault != nil:
				r.keep(false, "%s: %v", b.name, fault)
			case up:
				r.keep(false, "%s: it came up", b.name)
			default:
				r.keep(strings.Contains(n.p.out.String(), b.want), "%s: it said %q, want %q in it", b.name, said, b.want)
			}
		})
	}
	wait.Wait()
	return slowest
}

// users has etcd ask for a user, and gives starts by users who lack something.
func (l *lab) users(ctx context.Context) ([]badStart, error) {
	password := filepath.Join(l.dir, "password")
	if err := os.WriteFile(password, []byte("p4ss\n"), 0o600); err != nil {
		return nil, err
	}
	wrong := filepath.Join(l.dir, "wrong")
	if err := os.WriteFile(wrong, []byte("other\n"), 0o600); err != nil {
		return nil, err
	}
	for user, prefix := range map[string]string{"root": "", "other": "/other/", "reader": "/lanyard/"} {
		kind := clientv3.PermissionType(clientv3.PermReadWrite)
		if user == "reader" {
			kind = clientv3.PermissionType(clientv3.PermRead)
		}
		_, err := l.etcd.raw.RoleAdd(ctx, user)
		if err == nil && prefix != "" {
			_, err = l.etcd.raw.RoleGrantPermission(ctx, user, prefix, clientv3.GetPrefixRangeEnd(prefix), kind)
		}
		if err == nil {
			_, err = l.etcd.raw.UserAdd(ctx, user, "p4ss")
		}
		if err == nil {
			_, err = l.etcd.raw.UserGrantRole(ctx, user, user)
		}
		if err != nil {
			return nil, err
		}
	}
	_, err := l.etcd.raw.AuthEnable(ctx)
	at := []string{"--etcd-endpoints", strings.Join(l.etcd.endpoints(), ",")}
	as := func(user, password string) []string {
		return append(append([]string{}, at...), "--etcd-user", user, "--etcd-password-file", password)
	}
	grant := "etcdctl role grant-permission ROLE readwrite /lanyard/ --prefix"
	return []badStart{
		{"no-user", at, "etcd wants a user: set --etcd-user"},
		{"unknown-user", as("nobody", password), `it refuses user "nobody"`},
		{"wrong-password", as("root", wrong), `it refuses user "root"`},
		{"other-prefix", as("other", password), grant},
		{"may-only-read", as("reader", password), grant},
	}, err
}

// securedEtcd starts an etcd with TLS that wants certificates of its own CA, and gives
// starts that do not fit it.
func (l *lab) securedEtcd() (starts []badStart, stop func(), err error) {
	in := func(name string) string { return filepath.Join(l.dir, name) }
	host, another := l.subnet+".7", l.subnet+".6"
	for _, name := range []string{"right", "other"} {
		ca, err := pki.NewPrivateCA(time.Now())
		if err != nil {
			return nil, nil, err
		}
		if _, err := (certFiles{in(name + ".crt"), in(name + ".key")}).write(ca, []string{host}, time.Now()); err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(in(name+"-ca.crt"), ca.PEM(), 0o600); err != nil {
			return nil, nil, err
		}
	}
	client, peer := "https://"+host+":2379", "http://"+host+":2380"
	p, err := l.sp.start(exec.Command(l.suite.etcd, "--name", "tls", "--data-dir", in("etcd-tls"), "--logger", "zap", "--log-level", "error",
		"--listen-client-urls", client+",https://"+another+":2379", "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "tls="+peer, "--cert-file", in("right.crt"), "--key-file", in("right.key"), "--trusted-ca-file", in("right-ca.crt"), "--client-cert-auth"))
	if err != nil {
		return nil, nil, err
	}
	at := func(flags ...string) []string { return append([]string{"--etcd-endpoints", client}, flags...) }
	return []badStart{
		{"no-ca", at(), "name the file with its CA with --etcd-ca"},
		{"wrong-ca", at("--etcd-ca", in("other-ca.crt")), "name the file with its CA with --etcd-ca"},
		{"wrong-ca-and-user", at("--etcd-ca", in("other-ca.crt"), "--etcd-user", "root", "--etcd-password-file", in("password")), "name the file with its CA with --etcd-ca"},
		{"wrong-name", []string{"--etcd-endpoints", "https://" + another + ":2379", "--etcd-ca", in("right-ca.crt")}, "write one of its certificate's names in --etcd-endpoints"},
		{"no-client-certificate", at("--etcd-ca", in("right-ca.crt")), "the client certificate of --etcd-cert and --etcd-key"},
		{"without-tls", []string{"--etcd-endpoints", strings.Replace(client, "https", "http", 1)}, "write https:// in --etcd-endpoints"},
	}, p.kill, waitListening(host + ":2379")
}

func waitListening(addr string) error {
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// impostors are what answers in etcd's place.
func (l *lab) impostors() (starts []badStart, stop func(), err error) {
	web, err := net.Listen("tcp", l.subnet+".8:2379")
	if err != nil {
		return nil, nil, err
	}
	silent, err := net.Listen("tcp", l.subnet+".9:2379")
	if err != nil {
		return nil, nil, err
	}
	full, err := fullBacklog(l.subnet)
	if err != nil {
		return nil, nil, err
	}
	go http.Serve(web, http.NotFoundHandler())
	return []badStart{
		{"web-server", []string{"--etcd-endpoints", "http://" + web.Addr().String()}, "--etcd-endpoints"},
		{"silent", []string{"--etcd-endpoints", "http://" + silent.Addr().String()}, "did not answer within"},
		{"silent-tls", []string{"--etcd-endpoints", "https://" + silent.Addr().String()}, "did not answer within"},
		{"nobody-takes-it", []string{"--etcd-endpoints", "http://" + full.addr}, "--etcd-endpoints"},
		{"nobody-there", []string{"--etcd-endpoints", "http://" + l.subnet + ".99:2379"}, "--etcd-endpoints"},
	}, func() { web.Close(); silent.Close(); full.close() }, nil
}

// backlog is a port where connections are neither taken nor refused, as behind a
// firewall that drops them.
type backlog struct {
	addr string
	fd   int
	held []int
}

func fullBacklog(subnet string) (*backlog, error) {
	b := &backlog{addr: subnet + ".10:2379"}
	var err error
	if b.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	at := &syscall.SockaddrInet4{Port: 2379}
	copy(at.Addr[:], net.ParseIP(subnet+".10").To4())
	if err := syscall.Bind(b.fd, at); err != nil {
		return nil, err
	}
	if err := syscall.Listen(b.fd, 0); err != nil {
		return nil, err
	}
	for range 3 { // one more than the queue holds
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		b.held = append(b.held, fd)
		if err := syscall.Connect(fd, at); err != nil && err != syscall.EINPROGRESS {
			return nil, err
		}
	}
	return b, nil
}

func (b *backlog) close() {
	for _, fd := range append(b.held, b.fd) {
		syscall.Close(fd)
	}
}

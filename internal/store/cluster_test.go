package store_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/lanyard-io/lanyard/internal/store"
)

// cluster is a real etcd of three members, whose networks can be made to fail.
type cluster struct {
	t     *testing.T
	nodes []*node
}

// node is a member. Clients reach it through a front that can stand still.
type node struct {
	etcd     *embed.Etcd
	endpoint string
	front    sync.RWMutex // held by who passes bytes on; locked while nothing passes

	mu   sync.Mutex
	dead bool               // guarded by mu, as is open
	open map[io.Closer]bool // the front's listener and connections
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var peers []url.URL
	var initial []string
	for i := range 3 {
		peers = append(peers, freeURL(t))
		initial = append(initial, fmt.Sprintf("%d=%s", i, peers[i].String()))
	}
	for i := range peers {
		cfg := embed.NewConfig()
		cfg.Name, cfg.Dir = fmt.Sprint(i), filepath.Join(t.TempDir(), "etcd")
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peers[i:i+1], peers[i:i+1]
		cfg.ListenClientUrls = []url.URL{freeURL(t)}
		cfg.AdvertiseClientUrls = cfg.ListenClientUrls
		cfg.InitialCluster = strings.Join(initial, ",")
		cfg.TickMs, cfg.ElectionMs = 50, 500
		cfg.UnsafeNoFsync = true
		cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		e, err := embed.StartEtcd(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		n := &node{etcd: e}
		n.listen(t, cfg.ListenClientUrls[0].Host)
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		<-n.etcd.Server.ReadyNotify()
	}
	return c
}

func freeURL(t *testing.T) url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// listen passes connections on to a member's own address.
func (n *node) listen(t *testing.T, to string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	n.endpoint = "http://" + l.Addr().String()
	n.keep(l)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go n.pass(in, out)
			go n.pass(out, in)
		}
	}()
}

func (n *node) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	n.keep(from)
	buf := make([]byte, 64<<10)
	for {
		k, err := from.Read(buf)
		if err != nil {
			return
		}
		n.front.RLock()
		_, err = to.Write(buf[:k])
		n.front.RUnlock()
		if err != nil {
			return
		}
	}
}

// keep closes what is the dead member's, at once or later.
func (n *node) keep(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = map[io.Closer]bool{}
	}
	n.open[c] = true
	if n.dead {
		c.Close()
	}
}

// kill ends a member without a word to the others.
func (n *node) kill() {
	n.mu.Lock()
	n.dead = true
	for c := range n.open {
		c.Close()
	}
	n.mu.Unlock()
	n.etcd.Server.HardStop()
}

// leader is the one that all follow now.
func (c *cluster) leader() *node {
	for _, n := range c.nodes {
		if n.etcd.Server.Leader() == n.etcd.Server.MemberID() {
			return n
		}
	}
	return nil
}

// cut takes a member's connections to the others away. It still answers clients.
func (c *cluster) cut(one *node) (mend func()) {
	each := func(do func(a, b *node)) {
		for _, other := range c.nodes {
			if other != one {
				do(one, other)
				do(other, one)
			}
		}
	}
	each(func(a, b *node) { a.etcd.Server.CutPeer(b.etcd.Server.MemberID()) })
	return func() { each(func(a, b *node) { a.etcd.Server.MendPeer(b.etcd.Server.MemberID()) }) }
}

// freeze makes a member stand still: it is cut off, and takes connections and
// bytes without an answer.
func (c *cluster) freeze(one *node) (mend func()) {
	join := c.cut(one)
	one.front.Lock()
	return func() {
		one.front.Unlock()
		join()
	}
}

func (c *cluster) dial() *store.Client {
	c.t.Helper()
	var endpoints []string
	for _, n := range c.nodes {
		endpoints = append(endpoints, n.endpoint)
	}
	client, err := store.Dial(store.DialConfig{Endpoints: endpoints})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { client.Close() })
	return client
}

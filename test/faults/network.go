package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// network carries what etcd's members say to each other, so that one of them can be
// cut off: its connections stay open and nothing passes any more, as when a cable is
// pulled. Clients go round it and reach every member still.
type network struct {
	mu       sync.Mutex
	isolated map[string]bool    // guarded by mu; members' ids in hex
	links    map[*link]struct{} // guarded by mu
	ln       []net.Listener
}

// link is one connection from a member to another.
type link struct {
	from, to string // members' ids; from is empty until it is known
	in, out  net.Conn
	passing  *sync.Cond // on network.mu
	net      *network
}

func newNetwork() *network {
	return &network{isolated: map[string]bool{}, links: map[*link]struct{}{}}
}

// forward leads the connections to a member through the network. id is asked for
// late: a member knows its own when it is up.
func (n *network) forward(listen, target string, id func() string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	n.ln = append(n.ln, ln)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go n.carry(c, target, id())
		}
	}()
	return nil
}

// carry copies both ways. A member names itself in the header of each request.
func (n *network) carry(in net.Conn, target, to string) {
	l := &link{in: in, to: to, net: n, passing: sync.NewCond(&n.mu)}
	defer in.Close()
	r := bufio.NewReaderSize(in, 64<<10)
	l.from = sender(r)
	n.mu.Lock()
	n.links[l] = struct{}{}
	n.mu.Unlock()
	defer n.forget(l)
	if !l.pass() {
		return
	}
	out, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	defer out.Close()
	n.mu.Lock()
	l.out = out
	n.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		l.copy(in, out)
		in.Close()
	}()
	l.copy(out, r)
	out.Close()
	<-back
}

// sender reads ahead to the end of the first request's header.
func sender(r *bufio.Reader) string {
	const name = "X-Server-From: "
	for want := 1; ; {
		b, err := r.Peek(want)
		if err != nil {
			return ""
		}
		if b, err = r.Peek(r.Buffered()); err != nil {
			return ""
		}
		if bytes.Contains(b, []byte("\r\n\r\n")) {
			_, rest, _ := bytes.Cut(b, []byte(name))
			id, _, _ := bytes.Cut(rest, []byte("\r\n"))
			return string(id)
		}
		want = len(b) + 1
	}
}

func (l *link) copy(dst io.Writer, src io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		k, err := src.Read(buf)
		if k > 0 {
			if !l.pass() {
				return
			}
			if _, err := dst.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while the link is cut, and says whether it still exists.
func (l *link) pass() bool {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for l.net.cut(l) {
		l.passing.Wait()
	}
	_, alive := l.net.links[l]
	return alive
}

// cut is called with mu held.
func (n *network) cut(l *link) bool {
	_, alive := n.links[l]
	return alive && (n.isolated[l.from] || n.isolated[l.to])
}

func (n *network) forget(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
}

// isolate cuts a member off from its peers.
func (n *network) isolate(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.isolated[id] = true
}

// heal joins all again. Connections that were cut are over: their time has run out.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if n.cut(l) {
			delete(n.links, l)
			l.in.Close()
			if l.out != nil {
				l.out.Close()
			}
			l.passing.Broadcast()
		}
	}
	clear(n.isolated)
}

func (n *network) close() {
	for _, ln := range n.ln {
		ln.Close()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		delete(n.links, l)
		l.in.Close()
		if l.out != nil {
			l.out.Close()
		}
		l.passing.Broadcast()
	}
}

package proxy

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// limitListener bounds the connections that are open at once, and knows when
// all of them are closed.
type limitListener struct {
	net.Listener
	slots chan struct{}
	held  int // owned by wait: slots taken for good
}

func newLimitListener(ln net.Listener, limit int) *limitListener {
	return &limitListener{Listener: ln, slots: make(chan struct{}, limit)}
}

const full = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis proxy has too many open connections.\n"

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			// The first bytes into a new socket's buffer do not block.
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(conn, full)
			_ = conn.Close()
		}
	}
}

// wait returns when every connection is closed, or ctx ends. No more can be
// accepted after it has begun. It may be called again, from the same goroutine.
func (l *limitListener) wait(ctx context.Context) {
	for ; l.held < cap(l.slots); l.held++ {
		select {
		case l.slots <- struct{}{}: // takes the place of a connection that was closed
		case <-ctx.Done():
			return
		}
	}
}

// limitedConn gives its slot back when it is closed.
type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// CloseWrite ends our half of the connection.
func (c *limitedConn) CloseWrite() error { return closeWrite(c.Conn) }

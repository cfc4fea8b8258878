package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// tunnel copies bytes between a client and the server until both have ended,
// nothing moves for too long, or its context ends.
type tunnel struct {
	client, backend net.Conn
	idle            time.Duration
	sent, received  atomic.Int64 // bytes, seen from the client
}

// run works until the tunnel has ended. Both connections are then dead, and no
// goroutine of its own is left.
func (t *tunnel) run(ctx context.Context, early []byte) error {
	// A deadline in the past ends reads and writes without closing, so that the
	// caller's Close stays the last act.
	stop := func() {
		_ = t.client.SetDeadline(time.Unix(1, 0))
		_ = t.backend.SetDeadline(time.Unix(1, 0))
	}
	defer context.AfterFunc(ctx, stop)()
	timer := time.AfterFunc(t.idle, stop)
	defer timer.Stop()
	moved := func() { timer.Reset(t.idle) }

	if _, err := io.WriteString(t.client, established); err != nil {
		return err
	}
	if _, err := t.backend.Write(early); err != nil {
		return err
	}
	t.sent.Add(int64(len(early)))

	var wg sync.WaitGroup
	var up, down error
	wg.Go(func() { up = copyHalf(t.backend, t.client, &t.sent, moved, stop) })
	wg.Go(func() { down = copyHalf(t.client, t.backend, &t.received, moved, stop) })
	wg.Wait()
	return errors.Join(up, down)
}

// copyHalf copies one direction. At its end it closes that direction only: the
// peer may still have an answer to send. An error ends both.
func copyHalf(dst, src net.Conn, count *atomic.Int64, moved, stop func()) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			moved()
			if _, werr := dst.Write(buf[:n]); werr != nil {
				stop()
				return werr
			}
			count.Add(int64(n))
		}
		if errors.Is(err, io.EOF) {
			return closeWrite(dst)
		}
		if err != nil {
			stop()
			return err
		}
	}
}

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

// Package serverlog keeps what a server that is being tested writes.
package serverlog

import (
	"bytes"
	"strings"
	"sync"
)

// Log takes what a server writes, and notices when it is up.
type Log struct {
	up chan struct{} // closed when it says so

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	said bool         // guarded by mu
}

// New is an empty log.
func New() *Log { return &Log{up: make(chan struct{})} }

// Up is closed when the server says that it is up.
func (l *Log) Up() <-chan struct{} { return l.up }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(p)
	if !l.said && bytes.Contains(l.text.Bytes(), []byte("lanyard is up")) {
		l.said = true
		close(l.up)
	}
	return n, err
}

// String is all that the server wrote so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// most is how many lines Unusual gives.
const most = 40

// Unusual is the last lines that report neither a success nor the challenge that
// every SDK begins with.
func (l *Log) Unusual() string {
	var lines []string
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, " status=2") && !strings.Contains(line, `refused: missing"`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-most):], "")
}

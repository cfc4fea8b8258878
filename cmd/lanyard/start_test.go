package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/verdict"
)

// startLimit is longer than any start that fails may take.
const startLimit = time.Minute

// tryStart runs `lanyard up`, perhaps under another program, and stops it if it comes up.
func tryStart(t *testing.T, under []string, args ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	line := append(append(under[:len(under):len(under)], "lanyard", "up", "--listen", "127.0.0.1:0", "--proxy", "off", "--debug", "off"), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var out upWriter
	out.up = func() { _ = cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("it did not end: %s", out.b.String())
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.b.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.b.String()
}

// upWriter calls up once the server says that it is.
type upWriter struct {
	b  bytes.Buffer
	up func()
}

func (w *upWriter) Write(p []byte) (int, error) {
	w.b.Write(p)
	if w.up != nil && strings.Contains(w.b.String(), "msg=ready") {
		w.up()
		w.up = nil
	}
	return len(p), nil
}

// seeds are directories that were served once.
func served(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if code, out := tryStart(t, nil, "--data-dir", dir); code != 0 {
		t.Fatalf("the first start: %s", out)
	}
	return dir
}

// one gives the only file that fits.
func one(t *testing.T, pattern ...string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %v: %v", pattern, err)
	}
	return found[0]
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(with, at); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, to int64) {
	t.Helper()
	if err := os.Truncate(path, to); err != nil {
		t.Fatal(err)
	}
}

func writeTo(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with a start is said in one sentence, with the way out.
func TestStartsThatFail(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() }) // it accepts nothing, and answers nobody
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tls := httptest.NewUnstartedServer(nil)
	tls.EnableHTTP2 = true
	tls.StartTLS()
	t.Cleanup(tls.Close)
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)

	garbage := bytes.Repeat([]byte("garbage!"), 2<<10)
	db := func(dir string) string { return one(t, dir, "etcd", "member.etcd", "member", "snap", "db") }
	wal := func(dir string) string { return one(t, dir, "etcd", "member.etcd", "member", "wal", "*.wal") }
	for name, test := range map[string]struct {
		fresh bool     // the directory was never served
		under []string // what runs the program
		seed  func(t *testing.T, dir string)
		args  []string
		says  string // a regular expression
	}{
		"few-files":      {under: []string{"prlimit", "--nofile=140"}, says: "may open 140 files at once, and needs 256 .*ulimit -n"},
		"port-taken":     {args: []string{"--listen", busy.Addr().String()}, says: "another program listens on .* already\\n.*--listen"},
		"database-cut":   {seed: func(t *testing.T, dir string) { truncate(t, db(dir), 5000) }, says: "the store in .* is damaged: .*lanyard store restore"},
		"database-empty": {seed: func(t *testing.T, dir string) { overwrite(t, db(dir), 0, make([]byte, 16<<10)) }, says: "the store in .* is damaged: .*lanyard store restore"},
		"database-pages": {seed: func(t *testing.T, dir string) { overwrite(t, db(dir), 8<<10, bytes.Repeat(garbage, 8)) }, says: "the store in .* is damaged: .*lanyard store restore"},
		"wal-garbage":    {seed: func(t *testing.T, dir string) { overwrite(t, wal(dir), 0, garbage) }, says: "the store in .* is damaged: .*lanyard store restore"},
		"wal-cut":        {seed: func(t *testing.T, dir string) { truncate(t, wal(dir), 0) }, says: "the store in .* is damaged: .*lanyard store restore"},
		"wal-gone":       {seed: func(t *testing.T, dir string) { _ = os.Remove(wal(dir)) }, says: "the store in .* is damaged: .*lanyard store restore"},
		"key-file-empty": {seed: func(t *testing.T, dir string) { writeTo(t, filepath.Join(dir, "seal.key"), "", 0o600) }, says: "seal.key.*restore it from a backup"},
		"key-file-gone":  {seed: func(t *testing.T, dir string) { _ = os.Remove(filepath.Join(dir, "seal.key")) }, says: "cannot be opened without this key file"},
		"state-garbage":  {seed: func(t *testing.T, dir string) { writeTo(t, filepath.Join(dir, "store.json"), "x", 0o600) }, says: "reading which store the data directory served last: .*store.json"},
		"etcd-is-a-file": {fresh: true, seed: func(t *testing.T, dir string) {
			_ = os.Mkdir(dir, 0o700)
			writeTo(t, filepath.Join(dir, "etcd"), "x", 0o600)
		}, says: "making the store's directory: .*not a directory"},
		"audit-is-a-file": {fresh: true, seed: func(t *testing.T, dir string) {
			_ = os.Mkdir(dir, 0o700)
			writeTo(t, filepath.Join(dir, "audit"), "x", 0o600)
		}, says: "opening the audit log: .*not a directory"},
		"data-is-a-file":   {fresh: true, seed: func(t *testing.T, dir string) { writeTo(t, dir, "x", 0o600) }, says: "making the data directory: .*not a directory"},
		"etcd-away":        {fresh: true, args: []string{"--etcd-endpoints", "http://" + closed.Addr().String()}, says: "connecting to etcd at .*connection refused"},
		"etcd-silent":      {fresh: true, args: []string{"--etcd-endpoints", "http://" + busy.Addr().String()}, says: "connecting to etcd at .*it did not answer within 5s"},
		"etcd-wants-tls":   {fresh: true, args: []string{"--etcd-endpoints", strings.Replace(tls.URL, "https", "http", 1)}, says: "wants TLS: then write https:// in --etcd-endpoints"},
		"etcd-without-tls": {fresh: true, args: []string{"--etcd-endpoints", strings.Replace(plain.URL, "http", "https", 1)}, says: "it does not speak TLS: write http:// in --etcd-endpoints"},
		"etcd-unknown-ca":  {fresh: true, args: []string{"--etcd-endpoints", tls.URL}, says: "certificate signed by unknown authority.*--etcd-ca"},
		"unknown-host":     {fresh: true, args: []string{"--etcd-endpoints", "http://etcd.invalid:2379"}, says: "connecting to etcd at http://etcd.invalid:2379"},
		"half-a-pair":      {fresh: true, args: []string{"--etcd-endpoints", tls.URL, "--etcd-cert", "x"}, says: "client certificate for etcd"},
		"no-config":        {fresh: true, args: []string{"--config", "none.yaml"}, says: "none.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if !test.fresh {
				dir = served(t)
			}
			if test.seed != nil {
				test.seed(t, dir)
			}
			code, stderr := tryStart(t, test.under, append([]string{"--data-dir", dir}, test.args...)...)
			wantRefusal(t, code, stderr, test.says)
		})
	}
}

func wantRefusal(t *testing.T, code int, stderr, says string) {
	t.Helper()
	if code != verdict.ExitError && code != verdict.ExitUsage { // the latter: the configuration cannot be read
		t.Errorf("exit code %d", code)
	}
	if !regexp.MustCompile(`\A(error: [^\n]+\n)+(hint: [^\n]+\n)?\z`).MatchString(stderr) || strings.Contains(stderr, "goroutine") {
		t.Errorf("want lines of error: and hint: alone, got\n%s", stderr)
	}
	if !regexp.MustCompile(says).MatchString(stderr) {
		t.Errorf("it does not say %q:\n%s", says, stderr)
	}
}

// The same on a disk of its own: nearly full, or read-only.
func TestStartsOnABadDisk(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "unshare", "-rm", "true").Run(); err != nil {
		t.Skip("no mount namespace here")
	}
	for name, test := range map[string]struct{ script, says string }{
		"small":     {`mount -t tmpfs -o size=60m none "$0" && exec "$@"`, "the disk of .* has [0-9]+ MiB free, and a start needs 80: make room"},
		"full":      {`mount -t tmpfs -o size=100m none "$0" && mkdir -p "$0/etcd" && head -c 94m /dev/zero > "$0/fill" && exec "$@"`, "the disk of .* has [0-9]+ MiB free, and a start needs 16"},
		"no-room":   {`mount -t tmpfs -o size=40m none "$0" && mkdir -p "$0/etcd" && exec "$@"`, "the disk of .* is full: make room"},
		"read-only": {`mount -t tmpfs none "$0" && mount -o remount,ro "$0" && exec "$@"`, "read-only file system"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			code, stderr := tryStart(t, []string{"unshare", "-rm", "sh", "-c", test.script, dir}, "--data-dir", dir)
			wantRefusal(t, code, stderr, test.says)
		})
	}
}

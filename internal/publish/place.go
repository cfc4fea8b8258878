package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxDocument is the most that is read of one document.
const maxDocument = 1 << 20

// Place is where documents are kept: what the issuer's URL names.
type Place interface {
	// Read gives a document; the error is fs.ErrNotExist when there is none.
	Read(ctx context.Context, name string) ([]byte, error)
	// Write replaces a document at once: no reader sees half of one.
	Write(ctx context.Context, name string, d Document) error
	Close() error
}

// Document is a body with the headers that it is to be served with.
type Document struct {
	Body         []byte
	ContentType  string
	CacheControl string
}

// Open opens a folder, by its path or as file:///path, or a bucket by its URL.
func Open(to string) (Place, error) {
	scheme, rest, isURL := strings.Cut(to, "://")
	switch {
	case !isURL:
		return openFolder(to)
	case scheme == "file":
		if !strings.HasPrefix(rest, "/") {
			return nil, fmt.Errorf("%q: want file:///path or a plain path", to)
		}
		return openFolder(rest)
	}
	return openBucket(scheme, to)
}

// folder holds documents as plain files that every user may read, because a web
// server is to serve them. A web server chooses the headers itself.
type folder struct{ root *os.Root }

func openFolder(path string) (Place, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

func (f *folder) Close() error { return f.root.Close() }

func (f *folder) Read(_ context.Context, name string) ([]byte, error) {
	file, err := f.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file)
}

func (f *folder) Write(_ context.Context, name string, d Document) (err error) {
	name = filepath.FromSlash(name)
	if err := f.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	next := name + ".next"
	file, err := f.root.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.root.Remove(next))
		}
	}()
	_, err = file.Write(d.Body)
	if err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	return f.root.Rename(next, name)
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		return nil, fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	return b, err
}

// read is Read with nil for a document that is not there.
func read(ctx context.Context, p Place, name string) ([]byte, error) {
	b, err := p.Read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return b, nil
}

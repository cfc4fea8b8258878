package manage

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/client"
)

// Collection is all things of one kind in one place, such as a group's vaults. They
// are found by name; what a name is, the method that makes the collection says.
type Collection[T any] struct {
	api  client.API
	path string                   // of the list
	id   func(name string) string // the path of one
	// read makes one of the directory's own form; nil for things that are shown as they are.
	read func(json.RawMessage) (Whole[T], error)
	// directory says that the directory has them: there a deletion succeeds with 204, which
	// for Resource Manager means that there was nothing.
	directory bool
	// missing words that one is not there, or that the place is not: then the name is
	// empty. It may be nil.
	missing func(ctx context.Context, name string) error
}

// ID is the resource id of one, or its path in the directory.
func (s Collection[T]) ID(name string) string { return s.id(name) }

// URL is where one is asked for, or the list when the name is empty: for a program that
// sends requests of its own.
func (s Collection[T]) URL(name string) string {
	if name == "" {
		return s.api.URL(s.path)
	}
	return s.api.URL(s.id(name))
}

// Get reads one.
func (s Collection[T]) Get(ctx context.Context, name string) (Whole[T], error) {
	got, _, err := s.get(ctx, name)
	return got, s.worded(ctx, name, err)
}

// Lookup reads one that need not be there.
func (s Collection[T]) Lookup(ctx context.Context, name string) (got Whole[T], found bool, err error) {
	got, _, err = s.get(ctx, name)
	if client.IsNotFound(err) {
		return got, false, nil
	}
	return got, err == nil, err
}

// List reads all. It is never nil, so that an empty one prints as [].
func (s Collection[T]) List(ctx context.Context) ([]Whole[T], error) {
	all := []Whole[T]{}
	err := s.api.Pages(ctx, s.path, func(raw json.RawMessage) error {
		one, err := s.decode(raw)
		all = append(all, one)
		return err
	})
	return all, s.worded(ctx, "", err)
}

// Delete deletes one.
func (s Collection[T]) Delete(ctx context.Context, name string) error {
	found, err := s.Remove(ctx, name)
	if err == nil && !found {
		err = s.worded(ctx, name, &client.Error{Status: http.StatusNotFound})
	}
	return err
}

// Remove deletes one that need not be there.
func (s Collection[T]) Remove(ctx context.Context, name string) (found bool, err error) {
	res, err := s.api.Call(ctx, http.MethodDelete, s.id(name), nil, nil, nil)
	if client.IsNotFound(err) {
		return false, nil
	}
	return err == nil && (s.directory || res.StatusCode != http.StatusNoContent), err
}

// Put writes one as it is wanted, whatever was there.
func (s Collection[T]) Put(ctx context.Context, name string, want T) (Whole[T], error) {
	return s.call(ctx, http.MethodPut, s.id(name), nil, want)
}

// Create makes one. When it is there already nothing is changed: made is false, and
// got is what there is.
func (s Collection[T]) Create(ctx context.Context, name string, want T) (got Whole[T], made bool, err error) {
	err = again(func() error {
		got, err = s.call(ctx, http.MethodPut, s.id(name), http.Header{"If-None-Match": {"*"}}, want)
		if made = err == nil; !lost(err) {
			return err
		}
		there, _, gone := s.get(ctx, name)
		if client.IsNotFound(gone) {
			return err // it has gone meanwhile, or its parent was changed
		}
		got = there
		return gone
	})
	return got, made, err
}

// Change writes the body that of makes of what there is; of is given nil when there
// is nothing. It is asked anew when another write comes between.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.1
func (s Collection[T]) Change(ctx context.Context, name string, of func(old *T) (body any, err error)) (got Whole[T], err error) {
	err = again(func() error {
		old, etag, err := s.get(ctx, name)
		is, condition := &old.Is, http.Header{"If-Match": {etag}}
		if client.IsNotFound(err) {
			is, condition, err = nil, http.Header{"If-None-Match": {"*"}}, nil
		}
		if err != nil {
			return err
		}
		body, err := of(is)
		if err != nil {
			return err
		}
		got, err = s.call(ctx, http.MethodPut, s.id(name), condition, body)
		return err
	})
	return got, err
}

// patch changes what body names.
func (s Collection[T]) patch(ctx context.Context, name string, body any) (Whole[T], error) {
	got, err := s.call(ctx, http.MethodPatch, s.id(name), nil, body)
	return got, s.worded(ctx, name, err)
}

// get also gives the ETag.
func (s Collection[T]) get(ctx context.Context, name string) (got Whole[T], etag string, err error) {
	var raw json.RawMessage
	res, err := s.api.Call(ctx, http.MethodGet, s.id(name), nil, nil, &raw)
	if err != nil {
		return got, "", err
	}
	got, err = s.decode(raw)
	return got, res.Header.Get("ETag"), err
}

func (s Collection[T]) call(ctx context.Context, method, path string, header http.Header, body any) (got Whole[T], err error) {
	var raw json.RawMessage
	if _, err := s.api.Call(ctx, method, path, header, body, &raw); err != nil || raw == nil {
		return got, err
	}
	return s.decode(raw)
}

func (s Collection[T]) decode(raw json.RawMessage) (got Whole[T], err error) {
	if s.read != nil {
		return s.read(raw)
	}
	err = json.Unmarshal(raw, &got)
	return got, err
}

func (s Collection[T]) worded(ctx context.Context, name string, err error) error {
	if !client.IsNotFound(err) || s.missing == nil {
		return err
	}
	if words := s.missing(ctx, name); words != nil {
		return words
	}
	return err
}

// races is how often a write is repeated because others were faster.
const races = 20

// again has do read and write once more while another write comes between the two.
func again(do func() error) error {
	for attempt := 1; ; attempt++ {
		if err := do(); !lost(err) || attempt == races {
			return err
		}
	}
}

// lost says whether err is the answer to a write whose condition did not hold.
func lost(err error) bool { return client.IsStatus(err, http.StatusPreconditionFailed) }

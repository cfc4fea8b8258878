package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// copying is the value of the format's key while a copy is not complete.
	copying = "copying"
	// A copy's page fits into one answer and one transaction of etcd.
	copyPage, copyBytes = 64, 1 << 20
)

// Copy writes a whole store to another etcd, under a prefix that is empty or has a copy
// that was cut off. Nobody may write to the store meanwhile. No server takes the copy
// for a store before it is complete.
func (s *Store) Copy(ctx context.Context, to *Client, prefix string, progress func(keys int)) error {
	prefix = Config{Prefix: prefix}.withDefaults().Prefix
	return grantError(prefix, s.copyTo(ctx, to, prefix, progress))
}

func (s *Store) copyTo(ctx context.Context, to *Client, prefix string, progress func(keys int)) error {
	begin, err := to.Get(ctx, prefix+"/", clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	if err != nil {
		return readError(err)
	}
	there, err := to.Get(ctx, prefix+"/format")
	if err != nil {
		return readError(err)
	}
	if len(begin.Kvs) > 0 && (len(there.Kvs) == 0 || string(there.Kvs[0].Value) != copying) {
		return fmt.Errorf("there is something under %s/ already: a store is copied to a prefix where nothing is", prefix)
	}
	if _, err := to.Put(ctx, prefix+"/format", copying); err != nil {
		return writeError(err)
	}
	if len(begin.Kvs) > 0 { // that copy may be old
		for _, part := range []string{"/b", "/h", "/o"} {
			if _, err := to.Delete(ctx, prefix+part, clientv3.WithPrefix()); err != nil {
				return writeError(err)
			}
		}
	}
	if err := s.copyKeys(ctx, to, prefix, progress); err != nil {
		return err
	}
	if _, err := to.Put(ctx, prefix+"/format", strconv.Itoa(format)); err != nil {
		return writeError(err)
	}
	return nil
}

// copyKeys copies all keys but that of the format, page by page, at one revision.
func (s *Store) copyKeys(ctx context.Context, to *Client, prefix string, progress func(keys int)) error {
	from, end, rev, done := s.c.Prefix+"/", clientv3.GetPrefixRangeEnd(s.c.Prefix+"/"), int64(0), 0
	for {
		page, err := s.c.Client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(copyPage), clientv3.WithRev(rev))
		if err != nil {
			return readError(err)
		}
		rev = page.Header.Revision
		var ops []clientv3.Op
		size := 0
		send := func() error {
			if len(ops) == 0 {
				return nil
			}
			_, err := to.Txn(ctx).Then(ops...).Commit()
			ops, size = nil, 0
			return err
		}
		for _, kv := range page.Kvs {
			if string(kv.Key) == s.formatKey() {
				continue
			}
			if size += len(kv.Key) + len(kv.Value); size > copyBytes {
				if err := send(); err != nil {
					return writeError(err)
				}
				size = len(kv.Key) + len(kv.Value)
			}
			ops = append(ops, clientv3.OpPut(prefix+strings.TrimPrefix(string(kv.Key), s.c.Prefix), string(kv.Value)))
		}
		if err := send(); err != nil {
			return writeError(err)
		}
		if done += len(page.Kvs); progress != nil {
			progress(done)
		}
		if !page.More {
			return nil
		}
		if len(page.Kvs) == 0 {
			return errors.New("etcd gave an empty page")
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// leastOfSmall is the least that exchanges may slow down to when the store is full.
const leastOfSmall = 0.9

// measureScale fills a server's store with identities and their federated
// credentials, starts it again, and compares exchanges before and after.
func (b *bench) measureScale(ctx context.Context, l *lab) (err error) {
	const name = "scale"
	config := l.config(name, false)
	s, stop, err := runServer(ctx, config)
	if err != nil {
		return err
	}
	config.Listen = s.State().Listen // the client goes on asking there
	sub, err := l.furnish(ctx, s, server.Dir(filepath.Join(l.dir, name)))
	if err != nil {
		return errors.Join(err, stop())
	}
	exchange := func(ctx context.Context, _ int) error {
		_, err := sub.tokenRequest(sub.form).send(ctx, sub.http)
		return err
	}
	small, err := b.medianOf(ctx, exchange)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}

	began := time.Now()
	if err := b.fill(ctx, config, sub.manage); err != nil {
		return fmt.Errorf("filling the store: %w", err)
	}
	filled := time.Since(began)
	before, ownBefore, err := settledMemory()
	if err != nil {
		return err
	}
	began = time.Now()
	if _, stop, err = runServer(ctx, config); err != nil {
		return err
	}
	debug.SetGCPercent(server.GCPercent()) // as lanyard up does when it has loaded
	defer func() { err = errors.Join(err, stop()) }()
	loaded := time.Since(began)
	after, own, err := settledMemory()
	if err != nil {
		return err
	}
	large, err := b.medianOf(ctx, exchange)
	if err != nil {
		return err
	}
	ratio, mark := large.rate/small.rate, ""
	if ratio < leastOfSmall {
		mark = "  below"
	}
	fmt.Printf("\n%d identities with %d credentials each\n", b.identities, b.credentials)
	fmt.Printf("writing them                      %s\n", filled.Round(time.Second))
	fmt.Printf("start to ready                    %s\n", loaded.Round(10*time.Millisecond))
	fmt.Printf("memory that they take (RSS)       %.0f MB; without the store's file %.0f MB\n", float64(after-before)/1e6, float64(own-ownBefore)/1e6)
	fmt.Printf("exchanges                         %.0f/s, %.0f/s in an empty store: %.2f (want ≥ %.2f)%s; of CPU time %.2f\n",
		large.rate, small.rate, ratio, leastOfSmall, mark, float64(small.cpu)/float64(large.cpu))
	return nil
}

func (b *bench) medianOf(ctx context.Context, op op) (result, error) {
	var all []result
	for range b.rounds {
		r, err := b.measure(ctx, op)
		if err != nil {
			return r, err
		}
		all = append(all, r)
	}
	return median(all), nil
}

// fill writes into the store while no server runs: through the API it would
// take an hour.
func (b *bench) fill(ctx context.Context, config server.Config, m *manage.Client) (err error) {
	backend, err := server.OpenBackend(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	runCtx, cancel := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- backend.Run(runCtx) }()
	defer func() { cancel(); err = errors.Join(err, <-ran) }()

	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range b.identities {
		g.Go(func() error {
			_, err := backend.Store.Commit(ctx, b.identity(m, i)...)
			return err
		})
	}
	return g.Wait()
}

func (b *bench) identity(m *manage.Client, i int) []store.Op {
	name := fmt.Sprintf("scale-%06d", i)
	id := m.Identities(group).ID(name)
	now := time.Now().UTC()
	resource := func(id, name string) model.Resource {
		return model.Resource{ID: id, Name: name, Location: "local", System: model.System{CreatedAt: now, ModifiedAt: now}}
	}
	identity := &model.Identity{
		Resource: resource(id, name),
		TenantID: model.NewUUID(), ClientID: model.NewUUID(), PrincipalID: model.NewUUID(),
	}
	ops := []store.Op{{Value: identity}}
	for n := range b.credentials {
		name := fmt.Sprintf("credential-%d", n)
		ops = append(ops, store.Op{Value: &model.FederatedCredential{
			Resource: resource(m.Credentials(group, identity.Name).ID(name), name), ParentKey: identity.Key(),
			Issuer:    fmt.Sprintf("https://cluster-%d.example.org/", n),
			Subject:   fmt.Sprintf("system:serviceaccount:team-%d:workload-%d", i%500, i),
			Audiences: []string{wi.Audience},
		}})
	}
	return ops
}

// settledMemory is what the process keeps after the garbage is gone, with and
// without the files that it has mapped.
func settledMemory() (all, own int64, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	if all, err = processMemory(os.Getpid(), "VmRSS"); err == nil {
		own, err = processMemory(os.Getpid(), "RssAnon")
	}
	return all, own, err
}

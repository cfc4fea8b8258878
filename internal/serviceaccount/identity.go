package serviceaccount

import (
	"cmp"
	"context"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// lookUp reads the identity, which later phases name.
func (r *run) lookUp(ctx context.Context) (found bool, err error) {
	got, found, err := r.Server.Identities(r.Group).Lookup(ctx, r.Identity)
	r.know(got.Is)
	return found, err
}

func (r *run) know(id manage.Identity) {
	r.id, r.result.ClientID = id, id.Properties.ClientID
}

func (r *run) findIdentity(ctx context.Context) error {
	found, err := r.lookUp(ctx)
	if err == nil && !found {
		err = fault.WithHint(fmt.Errorf("no identity %q in resource group %s", r.Identity, r.Group), "leave the phase identity in, or name another with --identity")
	}
	return err
}

func (r *run) createIdentity(ctx context.Context) error {
	found, err := r.lookUp(ctx)
	switch {
	case err != nil:
		return err
	case found:
		r.did(PhaseIdentity, "unchanged", "%s, client id %s", r.Identity, r.id.Properties.ClientID)
		return nil
	case r.DryRun:
		r.did(PhaseIdentity, "created", "%s", r.Identity)
		return nil
	}
	if !r.Server.Azure {
		if err := r.Server.EnsureGroup(ctx, r.Group, cmp.Or(r.Location, manage.DefaultLocation)); err != nil {
			return err
		}
	}
	location := r.Location
	if location == "" {
		group, err := r.Server.Groups().Get(ctx, r.Group)
		if err != nil {
			return err
		}
		location = group.Is.Location
	}
	made, err := r.Server.Identities(r.Group).Put(ctx, r.Identity, manage.Identity{Location: location})
	if err != nil {
		return err
	}
	r.know(made.Is)
	r.did(PhaseIdentity, "created", "%s, client id %s", r.Identity, r.id.Properties.ClientID)
	return nil
}

func (r *run) deleteIdentity(ctx context.Context) error {
	if r.id.ID == "" {
		r.did(PhaseIdentity, "absent", "")
		return nil
	}
	if !r.DryRun {
		if _, err := r.Server.Identities(r.Group).Remove(ctx, r.Identity); err != nil {
			return err
		}
	}
	r.did(PhaseIdentity, "deleted", "%s", r.Identity)
	return nil
}

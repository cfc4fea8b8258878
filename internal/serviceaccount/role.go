package serviceaccount

import (
	"context"
	"errors"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// assigned are the role assignments of the identity at the scope and below.
func (r *run) assigned(ctx context.Context, scope string) ([]manage.Assignment, error) {
	if r.id.Properties.PrincipalID == "" {
		return nil, nil
	}
	all, err := r.Server.AssignmentsOf(scope, r.id.Properties.PrincipalID).List(ctx)
	return manage.Parts(all), err
}

func (r *run) createRole(ctx context.Context) error {
	if r.Role == "" {
		r.did(PhaseRole, "skipped", "no --role is named")
		return nil
	}
	if r.Server.Azure && r.Scope == "" {
		return fault.WithHint(errors.New("a role in Azure must say what it is for"), "--scope ID, such as a vault's: az keyvault show -n NAME --query id -otsv")
	}
	scope, err := r.Server.ScopePath(r.Scope)
	if err != nil {
		return err
	}
	role, err := r.Server.FindRole(ctx, scope, r.Role)
	if err != nil {
		return err
	}
	all, err := r.assigned(ctx, scope)
	if err != nil {
		return err
	}
	for _, given := range all {
		if given.Has(role, scope) {
			r.did(PhaseRole, "unchanged", "%s at %s", r.Role, scope)
			return nil
		}
	}
	if !r.DryRun {
		want := manage.AssignmentProperties{RoleID: role, PrincipalID: r.id.Properties.PrincipalID, PrincipalType: "ServicePrincipal"}
		err := r.again(ctx, []string{"PrincipalNotFound"}, func() error {
			_, _, err := r.Server.Assign(ctx, scope, want)
			return err
		})
		if err != nil {
			return err
		}
	}
	r.did(PhaseRole, "created", "%s at %s", r.Role, scope)
	return nil
}

func (r *run) deleteRoles(ctx context.Context) error {
	if r.skips(PhaseIdentity) && r.Role == "" {
		r.did(PhaseRole, "skipped", "the identity stays, and no --role is named")
		return nil
	}
	scope, err := r.Server.ScopePath(r.Scope)
	if err != nil {
		return err
	}
	role := ""
	if r.Role != "" {
		if role, err = r.Server.FindRole(ctx, scope, r.Role); err != nil {
			return err
		}
	}
	all, err := r.assigned(ctx, scope)
	if err != nil {
		return err
	}
	gone := 0
	for _, given := range all {
		if role != "" && !manage.SameRole(given.Properties.RoleID, role) {
			continue
		}
		if !r.DryRun {
			if _, err := r.Server.Assignments("", "").Remove(ctx, given.ID); err != nil {
				return err
			}
		}
		gone++
		r.did(PhaseRole, "deleted", "%s at %s", given.Role(), given.Properties.Scope)
	}
	if gone == 0 {
		r.did(PhaseRole, "absent", "")
	}
	return nil
}

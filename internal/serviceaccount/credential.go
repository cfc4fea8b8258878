package serviceaccount

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/wi"
)

func (r *run) subject() string { return wi.Subject{Namespace: r.Namespace, Name: r.Name}.String() }

func (r *run) credentials() manage.Credentials { return r.Server.Credentials(r.Group, r.Identity) }

// wanted is the federated credential that joins the two.
func (r *run) wanted(ctx context.Context) (p manage.CredentialProperties, err error) {
	if r.Issuer == "" {
		if r.Issuer, err = r.Cluster.Issuer(ctx); err != nil {
			return p, err
		}
	}
	return manage.CredentialProperties{Issuer: r.Issuer, Subject: r.subject(), Audiences: []string{r.Audience}}, nil
}

// existing are the identity's credentials, and which of them is the wanted one.
func (r *run) existing(ctx context.Context, want manage.CredentialProperties) (all []manage.Credential, at int, err error) {
	found, err := r.credentials().List(ctx)
	all = manage.Parts(found)
	return all, slices.IndexFunc(all, func(c manage.Credential) bool {
		p := c.Properties
		return p.Issuer == want.Issuer && p.Subject == want.Subject && slices.Contains(p.Audiences, r.Audience)
	}), err
}

// credentialName tells clusters apart, and stays within the 120 letters that a name has.
func (r *run) credentialName() string {
	if r.Credential != "" {
		return r.Credential
	}
	sum := sha256.Sum256([]byte(r.Namespace + "/" + r.Name + "/" + r.Issuer))
	readable := strings.ReplaceAll(r.Namespace+"-"+r.Name, ".", "-")
	return readable[:min(len(readable), 100)] + "-" + hex.EncodeToString(sum[:4])
}

func (r *run) createCredential(ctx context.Context) error {
	want, err := r.wanted(ctx)
	if err != nil {
		return err
	}
	var all []manage.Credential
	if r.id.ID != "" {
		at := -1
		if all, at, err = r.existing(ctx, want); err != nil {
			return err
		}
		if at >= 0 {
			r.did(PhaseCredential, "unchanged", "%s", all[at].Name)
			return nil
		}
	}
	name := r.credentialName()
	if at := slices.IndexFunc(all, func(c manage.Credential) bool { return strings.EqualFold(c.Name, name) }); at >= 0 {
		how, _ := all[at].Properties.Differs(want)
		return fault.WithHint(fmt.Errorf("the credential %s exists already, with %s; nothing was changed", name, how), "name another with --credential")
	}
	if !r.DryRun {
		// Azure takes one change of an identity's credentials at a time.
		err := r.again(ctx, []string{"ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", "TooManyRequests"}, func() error {
			_, err := r.credentials().Put(ctx, name, manage.Credential{Properties: want})
			return err
		})
		if err != nil {
			return err
		}
	}
	r.did(PhaseCredential, "created", "%s: issuer %s, subject %s", name, want.Issuer, want.Subject)
	return nil
}

// alone refuses to delete an identity that others stand for too.
func (r *run) alone(ctx context.Context) error {
	all, err := r.credentials().List(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Is.Properties.Subject != r.subject() {
			return fault.WithHint(fmt.Errorf("identity %s has the federated credential %s for somebody else", r.Identity, c.Is.Name),
				"keep the identity: --skip-phases identity,role-assignment")
		}
	}
	return nil
}

func (r *run) deleteCredential(ctx context.Context) error {
	if !r.skips(PhaseIdentity) {
		r.did(PhaseCredential, "skipped", "it goes with the identity")
		return nil
	}
	if r.id.ID == "" {
		r.did(PhaseCredential, "absent", "")
		return nil
	}
	want, err := r.wanted(ctx)
	if err != nil {
		return err
	}
	all, at, err := r.existing(ctx, want)
	if err != nil {
		return err
	}
	if at < 0 {
		r.did(PhaseCredential, "absent", "")
		return nil
	}
	if !r.DryRun {
		if _, err := r.credentials().Remove(ctx, all[at].Name); err != nil {
			return err
		}
	}
	r.did(PhaseCredential, "deleted", "%s", all[at].Name)
	return nil
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Annotations of the service account.
const (
	clientIDAnnotation   = "azure.workload.identity/client-id"
	tenantIDAnnotation   = "azure.workload.identity/tenant-id"
	expirationAnnotation = "azure.workload.identity/service-account-token-expiration"
)

func (r *saRun) accountRef() kube.Ref {
	return kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: r.namespace, Name: r.name}
}

// annotations are what the webhook reads. A Lanyard server has one tenant, which
// its webhook knows better: it may be "adfs".
func (r *saRun) annotations() map[string]string {
	want := map[string]string{clientIDAnnotation: r.id.Properties.ClientID}
	if r.c.Azure {
		want[tenantIDAnnotation] = r.id.Properties.TenantID
	}
	if r.expiration != 0 {
		want[expirationAnnotation] = strconv.Itoa(int(r.expiration.Seconds()))
	}
	return want
}

func (r *saRun) createAccount(ctx context.Context) error {
	want := r.annotations()
	b, err := r.k.Get(ctx, r.accountRef())
	if errors.Is(err, kube.ErrNotFound) {
		return r.newAccount(ctx, want)
	}
	if err != nil {
		return err
	}
	var have struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(b, &have); err != nil {
		return fmt.Errorf("reading the service account: %w", err)
	}
	for name, value := range want {
		if have.Metadata.Annotations[name] == value {
			delete(want, name)
		}
	}
	if len(want) == 0 {
		r.did(phaseAccount, "unchanged", "%s in namespace %s", r.name, r.namespace)
		return nil
	}
	if !r.dryRun {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": want}})
		if err != nil {
			return err
		}
		if _, err := r.k.Patch(ctx, r.accountRef(), kube.MergePatch, patch); err != nil {
			return err
		}
	}
	detail := fmt.Sprintf("annotations of %s in namespace %s", r.name, r.namespace)
	if before := have.Metadata.Annotations[clientIDAnnotation]; before != "" && want[clientIDAnnotation] != "" {
		detail += "; its client id was " + before + ": re-create its pods"
	}
	r.did(phaseAccount, "changed", "%s", detail)
	return nil
}

func (r *saRun) newAccount(ctx context.Context, annotations map[string]string) error {
	if !r.dryRun {
		object, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "ServiceAccount",
			"metadata": map[string]any{"namespace": r.namespace, "name": r.name, "annotations": annotations},
		})
		if err != nil {
			return err
		}
		_, err = r.k.Create(ctx, object)
		if errors.Is(err, kube.ErrNotFound) {
			err = fault.WithHint(err, "kubectl create namespace "+r.namespace)
		}
		if err != nil {
			return err
		}
	}
	r.did(phaseAccount, "created", "%s in namespace %s", r.name, r.namespace)
	return nil
}

// wanted is the federated credential that joins the two.
func (r *saRun) wanted(ctx context.Context) (p credentialProperties, err error) {
	if r.issuer == "" {
		if r.issuer, err = clusterIssuer(ctx, r.k); err != nil {
			return p, err
		}
	}
	return credentialProperties{
		Issuer: r.issuer, Subject: "system:serviceaccount:" + r.namespace + ":" + r.name, Audiences: []string{r.audience},
	}, nil
}

// credentials are the identity's, and which of them is the wanted one.
func (r *saRun) credentials(ctx context.Context, want credentialProperties) (all []credential, at int, err error) {
	all, err = listAll[credential](ctx, r.c, r.identityID(r.c, r.identity)+"/federatedIdentityCredentials", identityVersion)
	return all, slices.IndexFunc(all, func(c credential) bool {
		p := c.Properties
		return p.Issuer == want.Issuer && p.Subject == want.Subject && slices.Contains(p.Audiences, r.audience)
	}), err
}

func (r *saRun) credentialID(name string) string {
	return r.identityID(r.c, r.identity) + "/federatedIdentityCredentials/" + url.PathEscape(name)
}

// credentialName tells clusters apart, and stays within the 120 letters that a name has.
func (r *saRun) credentialName() string {
	if r.credential != "" {
		return r.credential
	}
	sum := sha256.Sum256([]byte(r.namespace + "/" + r.name + "/" + r.issuer))
	readable := strings.ReplaceAll(r.namespace+"-"+r.name, ".", "-")
	return readable[:min(len(readable), 100)] + "-" + hex.EncodeToString(sum[:4])
}

func (r *saRun) createCredential(ctx context.Context) error {
	want, err := r.wanted(ctx)
	if err != nil {
		return err
	}
	var all []credential
	if r.id.ID != "" {
		at := -1
		if all, at, err = r.credentials(ctx, want); err != nil {
			return err
		}
		if at >= 0 {
			r.did(phaseCredential, "unchanged", "%s", all[at].Name)
			return nil
		}
	}
	name := r.credentialName()
	if at := slices.IndexFunc(all, func(c credential) bool { return strings.EqualFold(c.Name, name) }); at >= 0 {
		how, _ := all[at].differs(want)
		return differs("credential", name, how, "name another with --credential")
	}
	if !r.dryRun {
		body := map[string]any{"properties": want}
		// Azure takes one change of an identity's credentials at a time.
		err := r.again(ctx, []string{"ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", "TooManyRequests"}, func() error {
			return r.c.ARM(ctx, "PUT", r.credentialID(name), identityVersion, body, nil)
		})
		if err != nil {
			return err
		}
	}
	r.did(phaseCredential, "created", "%s: issuer %s, subject %s", name, want.Issuer, want.Subject)
	return nil
}

// roleID finds a role by its name or id, where it is to be given.
func (r *saRun) roleID(ctx context.Context) (string, error) {
	scope, err := scopePath(r.c, r.scope)
	if err != nil {
		return "", err
	}
	base := scope + "/providers/Microsoft.Authorization/roleDefinitions"
	if model.ValidUUID(r.role) {
		return "/subscriptions/" + r.c.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + r.role, nil
	}
	filter := url.QueryEscape("roleName eq '" + strings.ReplaceAll(r.role, "'", "''") + "'")
	found, err := listAll[struct {
		ID string `json:"id"`
	}](ctx, r.c, base+"?$filter="+filter, roleVersion)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fault.WithHint(fmt.Errorf("no such role %q", r.role), "az role definition list --query '[].roleName'")
	}
	return found[0].ID, nil
}

// assigned are the role assignments of the identity at the scope and below.
func (r *saRun) assigned(ctx context.Context) ([]roleAssignment, error) {
	if r.id.Properties.PrincipalID == "" {
		return nil, nil
	}
	scope, err := scopePath(r.c, r.scope)
	if err != nil {
		return nil, err
	}
	filter := url.QueryEscape("principalId eq '" + r.id.Properties.PrincipalID + "'")
	return listAll[roleAssignment](ctx, r.c, scope+assignments+"?$filter="+filter, roleVersion)
}

func (r *saRun) createRole(ctx context.Context) error {
	if r.role == "" {
		r.did(phaseRole, "skipped", "no --role is named")
		return nil
	}
	if r.c.Azure && r.scope == "" {
		return fault.WithHint(errors.New("a role in Azure must say what it is for"), "--scope ID, such as a vault's: az keyvault show -n NAME --query id -otsv")
	}
	role, err := r.roleID(ctx)
	if err != nil {
		return err
	}
	all, err := r.assigned(ctx)
	if err != nil {
		return err
	}
	scope, err := scopePath(r.c, r.scope)
	if err != nil {
		return err
	}
	for _, given := range all {
		if sameRole(given.Properties.RoleID, role) && strings.EqualFold(given.Properties.Scope, scope) {
			r.did(phaseRole, "unchanged", "%s at %s", r.role, scope)
			return nil
		}
	}
	if !r.dryRun {
		body := map[string]any{"properties": roleAssignmentProperties{
			RoleID: role, PrincipalID: r.id.Properties.PrincipalID, PrincipalType: "ServicePrincipal",
		}}
		id := scope + assignments + "/" + model.NewUUID()
		err := r.again(ctx, []string{"PrincipalNotFound"}, func() error { return r.c.ARM(ctx, "PUT", id, roleVersion, body, nil) })
		if e, ok := errors.AsType[*client.Error](err); ok && e.Code == "RoleAssignmentExists" {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	r.did(phaseRole, "created", "%s at %s", r.role, scope)
	return nil
}

// sameRole compares role ids by their last part: the same built-in role has an id
// below every subscription.
func sameRole(a, b string) bool {
	return strings.EqualFold(a[strings.LastIndexByte(a, '/')+1:], b[strings.LastIndexByte(b, '/')+1:])
}

func (r *saRun) delete(ctx context.Context) error {
	err := r.c.ARM(ctx, "GET", r.identityID(r.c, r.identity), identityVersion, nil, &r.id)
	if err != nil && !client.IsNotFound(err) {
		return err
	}
	r.result.ClientID = r.id.Properties.ClientID
	if !r.skips(phaseIdentity) && r.id.ID != "" {
		if err := r.alone(ctx); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		name string
		do   func(context.Context) error
	}{
		{phaseRole, r.deleteRoles}, {phaseCredential, r.deleteCredential}, {phaseAccount, r.deleteAccount}, {phaseIdentity, r.deleteIdentity},
	} {
		if r.skips(p.name) {
			continue
		}
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// alone refuses to delete an identity that others stand for too.
func (r *saRun) alone(ctx context.Context) error {
	all, err := listAll[credential](ctx, r.c, r.identityID(r.c, r.identity)+"/federatedIdentityCredentials", identityVersion)
	if err != nil {
		return err
	}
	subject := "system:serviceaccount:" + r.namespace + ":" + r.name
	for _, c := range all {
		if c.Properties.Subject != subject {
			return fault.WithHint(fmt.Errorf("identity %s has the federated credential %s for somebody else", r.identity, c.Name),
				"keep the identity: --skip-phases identity,role-assignment")
		}
	}
	return nil
}

func (r *saRun) deleteRoles(ctx context.Context) error {
	if r.skips(phaseIdentity) && r.role == "" {
		r.did(phaseRole, "skipped", "the identity stays, and no --role is named")
		return nil
	}
	role, err := "", error(nil)
	if r.role != "" {
		if role, err = r.roleID(ctx); err != nil {
			return err
		}
	}
	all, err := r.assigned(ctx)
	if err != nil {
		return err
	}
	gone := 0
	for _, given := range all {
		if role != "" && !sameRole(given.Properties.RoleID, role) {
			continue
		}
		if !r.dryRun {
			if err := r.c.ARM(ctx, "DELETE", given.ID, roleVersion, nil, nil); err != nil && !client.IsNotFound(err) {
				return err
			}
		}
		gone++
		r.did(phaseRole, "deleted", "%s at %s", given.role(), given.Properties.Scope)
	}
	if gone == 0 {
		r.did(phaseRole, "absent", "")
	}
	return nil
}

func (r *saRun) deleteCredential(ctx context.Context) error {
	if !r.skips(phaseIdentity) {
		r.did(phaseCredential, "skipped", "it goes with the identity")
		return nil
	}
	if r.id.ID == "" {
		r.did(phaseCredential, "absent", "")
		return nil
	}
	want, err := r.wanted(ctx)
	if err != nil {
		return err
	}
	all, at, err := r.credentials(ctx, want)
	if err != nil {
		return err
	}
	if at < 0 {
		r.did(phaseCredential, "absent", "")
		return nil
	}
	if !r.dryRun {
		if err := r.c.ARM(ctx, "DELETE", r.credentialID(all[at].Name), identityVersion, nil, nil); err != nil {
			return err
		}
	}
	r.did(phaseCredential, "deleted", "%s", all[at].Name)
	return nil
}

func (r *saRun) deleteAccount(ctx context.Context) error {
	_, err := r.k.Get(ctx, r.accountRef())
	if errors.Is(err, kube.ErrNotFound) {
		r.did(phaseAccount, "absent", "")
		return nil
	}
	if err == nil && !r.dryRun {
		_, err = r.k.DeleteOne(ctx, r.accountRef())
	}
	if err == nil {
		r.did(phaseAccount, "deleted", "%s in namespace %s", r.name, r.namespace)
	}
	return err
}

func (r *saRun) deleteIdentity(ctx context.Context) error {
	if r.id.ID == "" {
		r.did(phaseIdentity, "absent", "")
		return nil
	}
	if !r.dryRun {
		if err := r.c.ARM(ctx, "DELETE", r.identityID(r.c, r.identity), identityVersion, nil, nil); err != nil {
			return err
		}
	}
	r.did(phaseIdentity, "deleted", "%s", r.identity)
	return nil
}

package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Secret is what is shown of one; the value only where it was asked for.
type Secret struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Version string     `json:"version,omitempty"`
	Value   string     `json:"value,omitempty"`
	Enabled bool       `json:"enabled"`
	Updated *time.Time `json:"updated,omitempty"`
	Created *time.Time `json:"created,omitempty"`
	// NotBefore and Expires say when a value is to be used; nothing keeps to them.
	NotBefore *time.Time         `json:"notBefore,omitempty"`
	Expires   *time.Time         `json:"expires,omitempty"`
	Type      *string            `json:"contentType,omitempty"`
	Tags      map[string]*string `json:"tags,omitempty"`
	// Deleted and Purge are a deleted secret's: until Purge it can be recovered.
	Deleted *time.Time `json:"deleted,omitempty"`
	Purge   *time.Time `json:"scheduledPurge,omitempty"`
}

func describe(id *azsecrets.ID, attr *azsecrets.SecretAttributes, contentType *string, tags map[string]*string) Secret {
	s := Secret{ID: string(*id), Name: id.Name(), Version: id.Version(), Type: contentType, Tags: tags}
	if attr != nil && attr.Enabled != nil {
		s.Enabled, s.Updated, s.Created, s.NotBefore, s.Expires = *attr.Enabled, attr.Updated, attr.Created, attr.NotBefore, attr.Expires
	}
	return s
}

func describeListed(p *azsecrets.SecretProperties) Secret {
	return describe(p.ID, p.Attributes, p.ContentType, p.Tags)
}

func describeDeleted(p *azsecrets.DeletedSecretProperties) Secret {
	s := describe(p.ID, p.Attributes, p.ContentType, p.Tags)
	s.Deleted, s.Purge = p.DeletedDate, p.ScheduledPurgeDate
	return s
}

// SecretVault is a vault's secrets, through the public SDK.
type SecretVault struct {
	vault  string
	client *azsecrets.Client
}

// SecretVault opens a vault. It asks nothing yet.
func (c *Client) SecretVault(vault string) (SecretVault, error) {
	if !model.ValidVaultName(vault) { // it becomes part of a host name
		return SecretVault{}, fault.WithHint(fmt.Errorf("no vault can have the name %q", vault), "lanyard vault list")
	}
	sdk, err := c.Secrets(vault)
	return SecretVault{vault, sdk}, err
}

// Set stores a new version of a secret; the content type is a note, and may be empty.
func (v SecretVault) Set(ctx context.Context, name, value, contentType string) (Secret, error) {
	p := azsecrets.SetSecretParameters{Value: &value}
	if contentType != "" {
		p.ContentType = &contentType
	}
	got, err := v.client.SetSecret(ctx, name, p, nil)
	if err != nil {
		return Secret{}, v.worded(err)
	}
	return describe(got.ID, got.Attributes, got.ContentType, got.Tags), nil
}

// Get reads a secret with its value, at a version or the latest.
func (v SecretVault) Get(ctx context.Context, name, version string) (Secret, error) {
	got, err := v.client.GetSecret(ctx, name, version, nil)
	if err != nil {
		return Secret{}, v.worded(err)
	}
	s := describe(got.ID, got.Attributes, got.ContentType, got.Tags)
	s.Value = *got.Value
	return s, nil
}

// List is the vault's secrets, without their values.
func (v SecretVault) List(ctx context.Context) ([]Secret, error) {
	return collect(ctx, v, v.client.NewListSecretPropertiesPager(nil), func(p azsecrets.ListSecretPropertiesResponse) []*azsecrets.SecretProperties { return p.Value }, describeListed)
}

// Deleted are those that can be recovered.
func (v SecretVault) Deleted(ctx context.Context) ([]Secret, error) {
	return collect(ctx, v, v.client.NewListDeletedSecretPropertiesPager(nil), func(p azsecrets.ListDeletedSecretPropertiesResponse) []*azsecrets.DeletedSecretProperties {
		return p.Value
	}, describeDeleted)
}

// Versions are a secret's, the newest first, without their values.
func (v SecretVault) Versions(ctx context.Context, name string) ([]Secret, error) {
	all, err := collect(ctx, v, v.client.NewListSecretPropertiesVersionsPager(name, nil), func(p azsecrets.ListSecretPropertiesVersionsResponse) []*azsecrets.SecretProperties { return p.Value }, describeListed)
	if err == nil && len(all) == 0 { // of a secret that is not there the protocol lists none
		err = fault.WithHint(fault.Absent("no secret %q in the vault %s", name, v.vault), "lanyard secret list "+v.vault)
	}
	made := func(s Secret) time.Time {
		if s.Created == nil {
			return time.Time{}
		}
		return *s.Created
	}
	slices.SortStableFunc(all, func(a, b Secret) int { return made(b).Compare(made(a)) })
	return all, err
}

// collect reads a list from its first page to its last. It is never nil, and has what
// was read when there is an error.
func collect[P, E any](ctx context.Context, v SecretVault, pages *runtime.Pager[P], items func(P) []*E, describe func(*E) Secret) ([]Secret, error) {
	all := []Secret{}
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return all, v.worded(err)
		}
		for _, item := range items(page) {
			all = append(all, describe(item))
		}
	}
	return all, nil
}

// Delete deletes a secret; it can be recovered until its retention ends.
func (v SecretVault) Delete(ctx context.Context, name string) error {
	_, err := v.client.DeleteSecret(ctx, name, nil)
	return v.worded(err)
}

// Recover brings a deleted secret back.
func (v SecretVault) Recover(ctx context.Context, name string) error {
	_, err := v.client.RecoverDeletedSecret(ctx, name, nil)
	return v.worded(err)
}

// Purge destroys a deleted secret, all versions, for good.
func (v SecretVault) Purge(ctx context.Context, name string) error {
	_, err := v.client.PurgeDeletedSecret(ctx, name, nil)
	return v.worded(err)
}

// worded adds the next step to the vault's refusals.
func (v SecretVault) worded(err error) error {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return err
	}
	switch {
	case e.ErrorCode == "VaultNotFound":
		return fault.WithHint(err, "lanyard vault list")
	case e.ErrorCode == "SecretNotFound":
		return fault.WithHint(err, "lanyard secret list "+v.vault)
	case e.ErrorCode == "Conflict":
		return fault.WithHint(err, "a deleted secret has this name: lanyard secret recover or purge it")
	case e.ErrorCode == "Forbidden", e.StatusCode == 403 && e.RawResponse != nil:
		return fault.WithHint(err, Refused(e, v.vault))
	}
	return err
}

// Refused is where to look when a vault refuses: the vault says who decided. Its name
// may be empty, when nobody knows it.
func Refused(e *azcore.ResponseError, vault string) string {
	answer := client.ParseError(e.RawResponse)
	explain := "lanyard explain " + e.RawResponse.Header.Get("x-ms-request-id")
	switch answer.Inner {
	case "ForbiddenByRbac":
		where := ""
		if _, rest, ok := strings.Cut(answer.Message, "Resource: '"); ok {
			scope, _, _ := strings.Cut(rest, "'")
			scope, _, _ = strings.Cut(scope, "/secrets")
			where = " --scope " + scope
		}
		return "the vault uses roles, and none lets you: lanyard role list" + where + ", or " + explain
	case "ForbiddenByFirewall", "ForbiddenByConnection":
		return "the vault's network rules refuse you: az keyvault network-rule list, or " + explain
	case "SecretDisabled":
		return "the secret is disabled: az keyvault secret set-attributes --enabled true"
	}
	if vault == "" {
		return explain
	}
	return "lanyard policy list " + vault + ", or " + explain
}

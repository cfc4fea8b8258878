// Command goclient is the public Azure SDK for Go, and MSAL for Go, against
// Lanyard, as any program uses them. Arguments: CREDENTIAL OPERATION.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: goclient CREDENTIAL OPERATION")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kind, operation string) error {
	cred, err := credential(kind)
	if err != nil {
		return err
	}
	switch operation {
	case "token":
		return token(ctx, cred)
	case "manage":
		return manage(ctx, cred)
	}
	vault, err := azsecrets.NewClient(os.Getenv("KEYVAULT_URL"), cred, nil)
	if err != nil {
		return err
	}
	switch operation {
	case "read":
		return read(ctx, vault)
	case "all":
		return everything(ctx, vault)
	}
	return fmt.Errorf("no operation %q", operation)
}

func credential(kind string) (azcore.TokenCredential, error) {
	tenant, client := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	switch kind {
	case "workload":
		return azidentity.NewWorkloadIdentityCredential(nil)
	case "default":
		return azidentity.NewDefaultAzureCredential(nil)
	case "managed":
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: managedID()})
	case "assertion":
		return azidentity.NewClientAssertionCredential(tenant, client, assertion, nil)
	case "pipelines":
		return azidentity.NewAzurePipelinesCredential(tenant, client, os.Getenv("SERVICE_CONNECTION_ID"), os.Getenv("SYSTEM_ACCESSTOKEN"), nil)
	case "secret":
		return azidentity.NewClientSecretCredential(tenant, client, os.Getenv("AZURE_CLIENT_SECRET"), nil)
	case "environment":
		return azidentity.NewEnvironmentCredential(nil)
	case "certificate", "chain":
		b, err := os.ReadFile(os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH"))
		if err != nil {
			return nil, err
		}
		certs, key, err := azidentity.ParseCertificates(b, nil)
		if err != nil {
			return nil, err
		}
		options := &azidentity.ClientCertificateCredentialOptions{SendCertificateChain: kind == "chain"}
		return azidentity.NewClientCertificateCredential(tenant, client, certs, key, options)
	case "msal":
		cred := confidential.NewCredFromAssertionCallback(func(ctx context.Context, _ confidential.AssertionRequestOptions) (string, error) {
			return assertion(ctx)
		})
		c, err := confidential.New(os.Getenv("AZURE_AUTHORITY_HOST")+tenant, client, cred)
		return &msal{c}, err
	}
	if kind == "cached" {
		return cached(os.Getenv("ACCESS_TOKEN")), nil
	}
	return nil, fmt.Errorf("no credential %q", kind)
}

// cached is a token that an earlier process was given.
type cached string

func (c cached) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(c), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// token prints an access token for the vault, for a later process to use.
func token(ctx context.Context, cred azcore.TokenCredential) error {
	_, zone, _ := strings.Cut(os.Getenv("KEYVAULT_URL"), ".")
	scope := "https://" + strings.TrimSuffix(zone, "/") + "/.default"
	t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return err
	}
	fmt.Println(t.Token)
	return nil
}

func assertion(context.Context) (string, error) {
	b, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	return string(b), err
}

// msal makes bare MSAL look like a credential of the SDK.
type msal struct{ client confidential.Client }

func (m *msal) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	r, err := m.client.AcquireTokenByCredential(ctx, o.Scopes)
	return azcore.AccessToken{Token: r.AccessToken, ExpiresOn: r.ExpiresOn}, err
}

func check(what string, ok bool, got any) error {
	if !ok {
		return fmt.Errorf("%s: got %v", what, got)
	}
	fmt.Println("ok", what)
	return nil
}

func fails(what string, err error, status int, code string) error {
	var e *azcore.ResponseError
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: got %v, want an error response", what, err)
	}
	return check(what, e.StatusCode == status && e.ErrorCode == code, fmt.Sprint(e.StatusCode, " ", e.ErrorCode))
}

func read(ctx context.Context, vault *azsecrets.Client) error {
	got, err := vault.GetSecret(ctx, os.Getenv("SECRET_NAME"), "", nil)
	if err != nil {
		return err
	}
	return check("read", *got.Value == os.Getenv("SECRET_VALUE"), *got.Value)
}

func everything(ctx context.Context, vault *azsecrets.Client) error {
	s := &steps{ctx: ctx, vault: vault, name: os.Getenv("SECRET_PREFIX") + "-all"}
	for _, step := range []func() error{s.setAndGet, s.update, s.pages, s.deleteAndRecover, s.purgeAndRestore} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type steps struct {
	ctx           context.Context
	vault         *azsecrets.Client
	name          string
	first, second string // version ids
}

const odd = "zwei ä€🔑\n\"\\<&>"

func (s *steps) setAndGet() error {
	expires := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	one, err := s.vault.SetSecret(s.ctx, s.name, azsecrets.SetSecretParameters{
		Value: to.Ptr("one"), ContentType: to.Ptr("text/plain"), Tags: map[string]*string{"a": to.Ptr("b")},
		SecretAttributes: &azsecrets.SecretAttributes{Expires: &expires},
	}, nil)
	if err != nil {
		return err
	}
	two, err := s.vault.SetSecret(s.ctx, s.name, azsecrets.SetSecretParameters{Value: to.Ptr(odd)}, nil)
	if err != nil {
		return err
	}
	s.first, s.second = one.ID.Version(), two.ID.Version()
	latest, err := s.vault.GetSecret(s.ctx, s.name, "", nil)
	if err != nil {
		return err
	}
	old, err := s.vault.GetSecret(s.ctx, s.name, s.first, nil)
	if err != nil {
		return err
	}
	var versions []string
	for p := s.vault.NewListSecretPropertiesVersionsPager(s.name, nil); p.More(); {
		page, err := p.NextPage(s.ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Value {
			versions = append(versions, v.ID.Version())
		}
	}
	return errors.Join(
		check("set", *one.Value == "one" && *one.Tags["a"] == "b" && one.Attributes.Expires.Equal(expires), one),
		check("get latest", *latest.Value == odd, *latest.Value),
		check("get version", *old.Value == "one", *old.Value),
		check("versions", len(versions) == 2 && slices.Contains(versions, s.first) && slices.Contains(versions, s.second), versions),
	)
}

func (s *steps) update() error {
	set := func(enabled bool) error {
		_, err := s.vault.UpdateSecretProperties(s.ctx, s.name, s.second, azsecrets.UpdateSecretPropertiesParameters{
			SecretAttributes: &azsecrets.SecretAttributes{Enabled: &enabled}, Tags: map[string]*string{"c": to.Ptr("d")},
		}, nil)
		return err
	}
	if err := set(false); err != nil {
		return err
	}
	_, err := s.vault.GetSecret(s.ctx, s.name, "", nil)
	if err := fails("disabled", err, 403, "Forbidden"); err != nil {
		return err
	}
	if err := set(true); err != nil {
		return err
	}
	got, err := s.vault.GetSecret(s.ctx, s.name, "", nil)
	if err != nil {
		return err
	}
	return check("update", len(got.Tags) == 1 && *got.Tags["c"] == "d", got.Tags)
}

func (s *steps) pages() error {
	missing := map[string]bool{}
	for i := range 30 {
		name := fmt.Sprintf("%s-many-%02d", os.Getenv("SECRET_PREFIX"), i)
		missing[name] = true
		if _, err := s.vault.SetSecret(s.ctx, name, azsecrets.SetSecretParameters{Value: &name}, nil); err != nil {
			return err
		}
	}
	pages := 0
	for p := s.vault.NewListSecretPropertiesPager(nil); p.More(); pages++ {
		page, err := p.NextPage(s.ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Value {
			delete(missing, v.ID.Name())
		}
	}
	return check("pages", pages > 1 && len(missing) == 0, slices.Collect(maps.Keys(missing)))
}

func (s *steps) deleteAndRecover() error {
	if _, err := s.vault.DeleteSecret(s.ctx, s.name, nil); err != nil {
		return err
	}
	_, goneErr := s.vault.GetSecret(s.ctx, s.name, "", nil)
	_, takenErr := s.vault.SetSecret(s.ctx, s.name, azsecrets.SetSecretParameters{Value: to.Ptr("x")}, nil)
	deleted, err := s.vault.GetDeletedSecret(s.ctx, s.name, nil)
	if err != nil {
		return err
	}
	listed := false
	for p := s.vault.NewListDeletedSecretPropertiesPager(nil); p.More(); {
		page, err := p.NextPage(s.ctx)
		if err != nil {
			return err
		}
		for _, d := range page.Value {
			listed = listed || d.ID.Name() == s.name
		}
	}
	if _, err := s.vault.RecoverDeletedSecret(s.ctx, s.name, nil); err != nil {
		return err
	}
	back, err := s.vault.GetSecret(s.ctx, s.name, "", nil)
	if err != nil {
		return err
	}
	return errors.Join(
		fails("gone", goneErr, 404, "SecretNotFound"),
		fails("name taken", takenErr, 409, "Conflict"),
		check("get deleted", strings.Contains(*deleted.RecoveryID, "/deletedsecrets/"+s.name), *deleted.RecoveryID),
		check("list deleted", listed, listed),
		check("recovered", back.ID.Version() == s.second, back.ID),
	)
}

func (s *steps) purgeAndRestore() error {
	backup, err := s.vault.BackupSecret(s.ctx, s.name, nil)
	if err != nil {
		return err
	}
	if _, err := s.vault.DeleteSecret(s.ctx, s.name, nil); err != nil {
		return err
	}
	if _, err := s.vault.PurgeDeletedSecret(s.ctx, s.name, nil); err != nil {
		return err
	}
	_, purgedErr := s.vault.GetDeletedSecret(s.ctx, s.name, nil)
	restored, err := s.vault.RestoreSecret(s.ctx, azsecrets.RestoreSecretParameters{SecretBackup: backup.Value}, nil)
	if err != nil {
		return err
	}
	old, err := s.vault.GetSecret(s.ctx, s.name, s.first, nil)
	if err != nil {
		return err
	}
	return errors.Join(
		fails("purged", purgedErr, 404, "SecretNotFound"),
		check("restored", restored.ID.Version() == s.second, restored.ID),
		check("restored value", *old.Value == "one", *old.Value),
	)
}

// managedID is which identity of the machine's is wanted; nil for its only one.
func managedID() azidentity.ManagedIDKind {
	kind, id, _ := strings.Cut(os.Getenv("MANAGED_ID"), "=")
	switch kind {
	case "client":
		return azidentity.ClientID(id)
	case "object":
		return azidentity.ObjectID(id)
	case "resource":
		return azidentity.ResourceID(id)
	}
	return nil
}

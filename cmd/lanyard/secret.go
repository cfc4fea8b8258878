package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
)

// secret is what the commands show of one; the value only where it was asked for.
type secret struct {
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

func describe(id *azsecrets.ID, attr *azsecrets.SecretAttributes, contentType *string, tags map[string]*string) secret {
	s := secret{ID: string(*id), Name: id.Name(), Version: id.Version(), Type: contentType, Tags: tags}
	if attr != nil && attr.Enabled != nil {
		s.Enabled, s.Updated, s.Created, s.NotBefore, s.Expires = *attr.Enabled, attr.Updated, attr.Created, attr.NotBefore, attr.Expires
	}
	return s
}

func secretTable(all ...secret) table {
	t := table{head: []string{"NAME", "VERSION", "ENABLED", "UPDATED"}}
	for _, s := range all {
		updated := ""
		if s.Updated != nil {
			updated = s.Updated.Local().Format(time.DateTime)
		}
		t.rows = append(t.rows, []string{s.Name, s.Version, fmt.Sprint(s.Enabled), updated})
	}
	return t
}

func newSecretCmd(a *app) *cobra.Command {
	return noun("secret", "Secrets in a vault", []string{"secrets"},
		a.secretSet(), a.secretGet(), a.secretList(), a.secretVersions(), a.secretDelete(), a.secretRecover(), a.secretPurge())
}

func (a *app) vaultClient(vault string) (*azsecrets.Client, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	return secretsClient(c, vault)
}

func secretsClient(c *client.Client, vault string) (*azsecrets.Client, error) {
	if !model.ValidVaultName(vault) { // it becomes part of a host name
		return nil, fault.WithHint(fmt.Errorf("no vault can have the name %q", vault), "lanyard vault list")
	}
	return c.Secrets(vault)
}

func (a *app) secretSet() *cobra.Command {
	var file, contentType string
	cmd := &cobra.Command{
		Use: "set VAULT NAME", Short: "Store a new version of a secret; the value comes from a file, standard input or a prompt",
		Long: `Store a new version of a secret. The value is read from --file, from standard
input, or, at a terminal, from a prompt that does not show it. It is never an
argument: other users can read those in the list of processes.

The value is kept byte for byte, a line break at its end included: printf %s
writes none, echo writes one.`,
		Example: `  printf %s "$VALUE" | lanyard secret set kv-dev db-password
  lanyard secret set kv-dev tls-key --file tls.key
  lanyard secret set kv-dev db-password          # asks`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.readValue(file)
			if err != nil {
				return err
			}
			vault, err := a.vaultClient(args[0])
			if err != nil {
				return err
			}
			p := azsecrets.SetSecretParameters{Value: &value}
			if contentType != "" {
				p.ContentType = &contentType
			}
			got, err := vault.SetSecret(cmd.Context(), args[1], p, nil)
			if err != nil {
				return secretError(err, args[0])
			}
			s := describe(got.ID, got.Attributes, got.ContentType, got.Tags)
			return a.print(s, secretTable(s))
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "`file` with the value, byte for byte; - for standard input")
	cmd.Flags().StringVar(&contentType, "content-type", "", "a note on what the value is")
	return cmd
}

// maxValue is Key Vault's limit on a secret's value, in bytes.
const maxValue = 25600

func (a *app) readValue(file string) (string, error) {
	b, err := a.readBytes(file)
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the value: %w", err)
	case len(b) > maxValue:
		return "", fault.WithHint(fmt.Errorf("the value is longer than %d bytes", maxValue), "keep it elsewhere, encrypted, and its key here")
	case len(bytes.TrimSpace(b)) == 0:
		return "", fault.WithHint(errors.New("the value is empty"), `printf %s "$VALUE" | lanyard secret set VAULT NAME`)
	case !utf8.Valid(b):
		return "", fault.WithHint(errors.New("the value is not UTF-8 text, and the protocol carries no other"), "base64 FILE | lanyard secret set VAULT NAME")
	}
	return string(b), nil
}

// readBytes reads at most one byte more than a value may have.
func (a *app) readBytes(file string) ([]byte, error) {
	in := a.In
	switch {
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	case file == "" && isTerminal(a.In):
		fmt.Fprint(a.Err, "value: ")
		defer fmt.Fprintln(a.Err)
		return term.ReadPassword(int(a.In.(*os.File).Fd()))
	}
	return io.ReadAll(io.LimitReader(in, maxValue+1))
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) secretGet() *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use: "get VAULT NAME", Short: "Print a secret's value, and nothing else", Aliases: []string{"show"},
		Long: `Print a secret's value, byte for byte; at a terminal, a line break comes after it.`,
		Example: `  lanyard secret get kv-dev db-password
  lanyard secret get kv-dev db-password -o json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			vault, err := a.vaultClient(args[0])
			if err != nil {
				return err
			}
			got, err := vault.GetSecret(cmd.Context(), args[1], version, nil)
			if err != nil {
				return secretError(err, args[0])
			}
			if a.whole() {
				s := describe(got.ID, got.Attributes, got.ContentType, got.Tags)
				s.Value = *got.Value
				return a.print(s, table{})
			}
			end := ""
			if isTerminal(a.Out) {
				end = "\n"
			}
			_, err = fmt.Fprint(a.Out, *got.Value, end)
			return err
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "`id` of an older version (default the latest)")
	return cmd
}

func (a *app) secretList() *cobra.Command {
	var deleted bool
	cmd := &cobra.Command{
		Use: "list VAULT", Short: "List a vault's secrets, without their values", Args: cobra.ExactArgs(1),
		Example: `  lanyard secret list kv-dev
  lanyard secret list kv-dev --deleted`,
		RunE: func(cmd *cobra.Command, args []string) error {
			vault, err := a.vaultClient(args[0])
			if err != nil {
				return err
			}
			all := []secret{}
			if deleted {
				for pages := vault.NewListDeletedSecretPropertiesPager(nil); pages.More(); {
					page, err := pages.NextPage(cmd.Context())
					if err != nil {
						return secretError(err, args[0])
					}
					for _, p := range page.Value {
						s := describe(p.ID, p.Attributes, p.ContentType, p.Tags)
						s.Deleted, s.Purge = p.DeletedDate, p.ScheduledPurgeDate
						all = append(all, s)
					}
				}
				return a.print(all, secretTable(all...))
			}
			for pages := vault.NewListSecretPropertiesPager(nil); pages.More(); {
				page, err := pages.NextPage(cmd.Context())
				if err != nil {
					return secretError(err, args[0])
				}
				for _, p := range page.Value {
					all = append(all, describe(p.ID, p.Attributes, p.ContentType, p.Tags))
				}
			}
			return a.print(all, secretTable(all...))
		},
	}
	cmd.Flags().BoolVar(&deleted, "deleted", false, "list deleted secrets that can be recovered")
	return cmd
}

func (a *app) secretVersions() *cobra.Command {
	return &cobra.Command{
		Use: "versions VAULT NAME", Short: "List a secret's versions, the newest first, without their values", Args: cobra.ExactArgs(2),
		Example: `  lanyard secret versions kv-dev db-password
  lanyard secret get kv-dev db-password --version 0a1b2c3d4e5f60718293a4b5c6d7e8f9`,
		RunE: func(cmd *cobra.Command, args []string) error {
			vault, err := a.vaultClient(args[0])
			if err != nil {
				return err
			}
			all := []secret{}
			for pages := vault.NewListSecretPropertiesVersionsPager(args[1], nil); pages.More(); {
				page, err := pages.NextPage(cmd.Context())
				if err != nil {
					return secretError(err, args[0])
				}
				for _, p := range page.Value {
					all = append(all, describe(p.ID, p.Attributes, p.ContentType, p.Tags))
				}
			}
			if len(all) == 0 { // of a secret that is not there the protocol lists none
				return fault.WithHint(fault.Absent("no secret %q in the vault %s", args[1], args[0]), "lanyard secret list "+args[0])
			}
			slices.SortStableFunc(all, func(a, b secret) int { return madeAt(b).Compare(madeAt(a)) })
			return a.print(all, secretTable(all...))
		},
	}
}

// madeAt is when a version was made.
func madeAt(s secret) time.Time {
	if s.Created == nil {
		return time.Time{}
	}
	return *s.Created
}

// secretVerb is a command that does one thing to one secret and prints nothing.
func (a *app) secretVerb(use, short string, do func(*cobra.Command, *azsecrets.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " VAULT NAME", Short: short, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			vault, err := a.vaultClient(args[0])
			if err != nil {
				return err
			}
			return secretError(do(cmd, vault, args[1]), args[0])
		},
	}
}

func (a *app) secretDelete() *cobra.Command {
	return a.secretVerb("delete", "Delete a secret; it can be recovered until its retention ends",
		func(cmd *cobra.Command, v *azsecrets.Client, name string) error {
			_, err := v.DeleteSecret(cmd.Context(), name, nil)
			return err
		})
}

func (a *app) secretRecover() *cobra.Command {
	return a.secretVerb("recover", "Bring a deleted secret back",
		func(cmd *cobra.Command, v *azsecrets.Client, name string) error {
			_, err := v.RecoverDeletedSecret(cmd.Context(), name, nil)
			return err
		})
}

func (a *app) secretPurge() *cobra.Command {
	return a.secretVerb("purge", "Destroy a deleted secret, all versions, for good",
		func(cmd *cobra.Command, v *azsecrets.Client, name string) error {
			_, err := v.PurgeDeletedSecret(cmd.Context(), name, nil)
			return err
		})
}

// secretError adds the next step to the vault's refusals.
func secretError(err error, vault string) error {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return err
	}
	switch e.ErrorCode {
	case "VaultNotFound":
		return fault.WithHint(err, "lanyard vault list")
	case "SecretNotFound":
		return fault.WithHint(err, "lanyard secret list "+vault)
	case "Forbidden":
		return fault.WithHint(err, forbidden(e, vault))
	case "Conflict":
		return fault.WithHint(err, "a deleted secret has this name: lanyard secret recover or purge it")
	}
	return err
}

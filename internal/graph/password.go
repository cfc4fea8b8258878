package graph

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Limits of an application's secrets.
const (
	maxSecrets      = 10
	secretYears     = 2   // how long a secret is good when the request does not say
	maxSecretYears  = 100 // and how long at most
	secretHintChars = 3
)

// passwordCredential is a client secret in answers; only the one that makes it
// has SecretText. https://learn.microsoft.com/graph/api/resources/passwordcredential
type passwordCredential struct {
	Context     string    `json:"@odata.context,omitempty"`
	CustomKeyID *string   `json:"customKeyIdentifier"`
	DisplayName *string   `json:"displayName"`
	End         time.Time `json:"endDateTime"`
	Hint        string    `json:"hint"`
	KeyID       string    `json:"keyId"`
	SecretText  *string   `json:"secretText"`
	Start       time.Time `json:"startDateTime"`
}

func showPasswords(secrets []model.AppSecret) []passwordCredential {
	out := make([]passwordCredential, 0, len(secrets))
	for i := range secrets {
		out = append(out, showPassword(&secrets[i]))
	}
	return out
}

func showPassword(s *model.AppSecret) passwordCredential {
	return passwordCredential{DisplayName: orNull(s.Name), End: s.Expires.UTC(), Hint: s.Hint, KeyID: s.KeyID, Start: s.Start.UTC()}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type passwordInput struct {
	Credential struct {
		DisplayName *string    `json:"displayName"`
		Start       *time.Time `json:"startDateTime"`
		End         *time.Time `json:"endDateTime"`
	} `json:"passwordCredential"`
}

// addPassword makes a secret. The answer is the only time that it is shown; its
// hash is all that is kept.
func (c *call) addPassword() error {
	var in passwordInput
	if err := c.read(&in, true); err != nil {
		return err
	}
	old, rev, err := c.application()
	if err != nil {
		return err
	}
	if len(old.Secrets) >= maxSecrets {
		return fail(quota, "The application has %d passwords, at most %d are allowed. Remove one first.", len(old.Secrets), maxSecrets)
	}
	secret, made, err := in.make(c.now())
	if err != nil {
		return err
	}
	a := *old
	a.Secrets = append(slices.Clone(old.Secrets), made)
	if err := c.save(&a, rev); err != nil {
		return err
	}
	out := showPassword(&made)
	out.Context, out.SecretText = c.context("microsoft.graph.passwordCredential"), &secret
	return c.reply(http.StatusOK, out)
}

// make draws a secret of 260 bits. Its letters and digits need no quoting
// anywhere, and do not look like a flag.
func (in *passwordInput) make(now time.Time) (secret string, s model.AppSecret, err error) {
	s = model.AppSecret{KeyID: model.NewUUID(), Start: now}
	p := &in.Credential
	if p.Start != nil {
		s.Start = p.Start.UTC()
	}
	s.Expires = s.Start.AddDate(secretYears, 0, 0)
	if p.End != nil {
		s.Expires = p.End.UTC()
	}
	if p.DisplayName != nil {
		s.Name = *p.DisplayName
	}
	switch {
	case s.Name != "" && !validName(s.Name):
		return "", s, fail(badRequest, "Invalid value specified for property 'displayName' of the password: it must have 1 to %d printable characters.", maxName)
	case !s.Expires.After(s.Start) || !s.Expires.After(now):
		return "", s, fail(badRequest, "Credential lifetime is invalid: endDateTime must be later than startDateTime and than now.")
	case s.Expires.After(now.AddDate(maxSecretYears, 0, 0)):
		return "", s, fail(badRequest, "Credential lifetime exceeds the max value allowed: endDateTime must be within %d years.", maxSecretYears)
	}
	secret = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	s.SHA256, s.Hint = sum[:], secret[:secretHintChars]
	return secret, s, nil
}

func (c *call) removePassword() error {
	var in struct {
		KeyID string `json:"keyId"`
	}
	if err := c.read(&in, false); err != nil {
		return err
	}
	old, rev, err := c.application()
	if err != nil {
		return err
	}
	is := func(s model.AppSecret) bool { return strings.EqualFold(s.KeyID, in.KeyID) }
	if !slices.ContainsFunc(old.Secrets, is) {
		return fail(badRequest, "No password credential found with keyId '%.100s'.", in.KeyID)
	}
	a := *old
	a.Secrets = slices.DeleteFunc(slices.Clone(old.Secrets), is)
	if err := c.save(&a, rev); err != nil {
		return err
	}
	return c.done()
}

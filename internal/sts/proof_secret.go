package sts

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

func (s *Server) bySecret(a *attempt) error {
	var secrets []model.AppSecret
	if a.client.app != nil {
		secrets = a.client.app.Secrets
	}
	match := matchSecret(secrets, a.secret)
	now := s.now()
	if match == nil || now.Before(match.Start) {
		a.record.Differed = []string{"secret"}
		a.record.Hint = "Use the secret's value, not its id; a lost value cannot be shown again, make a new one."
		return refuse(codeSecret, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app %s.", quote(a.clientID))
	}
	if !now.Before(match.Expires) {
		a.record.Differed = []string{"time"}
		a.record.Hint = "Add a new secret to the application."
		return refuse(codeSecretExpired, "The provided client secret keys for app %s are expired; this one ended at %s.", quote(a.clientID), match.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// matchSecret finds the secret that was presented. It compares with every one,
// and once when there are none, in constant time.
func matchSecret(secrets []model.AppSecret, presented string) *model.AppSecret {
	sum := sha256.Sum256([]byte(presented))
	if len(secrets) == 0 {
		var none [sha256.Size]byte
		subtle.ConstantTimeCompare(sum[:], none[:])
		return nil
	}
	var match *model.AppSecret
	for i := range secrets {
		if subtle.ConstantTimeCompare(sum[:], secrets[i].SHA256) == 1 {
			match = &secrets[i]
		}
	}
	return match
}

package sts

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// secretProof is a client secret, in the form or as Basic authentication.
// https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
var secretProof = proof{
	name:      "secret",
	parameter: parameterSecret,
	methods:   []string{"client_secret_post", "client_secret_basic"},
	acr:       "1",
	reason:    "The secret proves the client.",
	takes:     func(*request) (bool, error) { return true, nil },
	find:      (*Server).bySecret,
	unknown:   func(q *request) { matchSecret(nil, q.form.Get(parameterSecret)) },
}

func (s *Server) bySecret(q *request) error {
	var secrets []model.AppSecret
	if q.client.app != nil {
		secrets = q.client.app.Secrets
	}
	match := matchSecret(secrets, q.form.Get(parameterSecret))
	now := s.now()
	if match == nil || now.Before(match.Start) {
		q.record.Differed = []string{"secret"}
		q.record.Hint = "Use the secret's value, not its id; a lost value cannot be shown again, make a new one."
		return refuse(codeSecret, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app %s.", quote(q.clientID))
	}
	if !now.Before(match.Expires) {
		q.record.Differed = []string{"time"}
		q.record.Hint = "Add a new secret to the application."
		return refuse(codeSecretExpired, "The provided client secret keys for app %s are expired; this one ended at %s.", quote(q.clientID), match.Expires.UTC().Format(time.RFC3339))
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

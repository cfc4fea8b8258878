package sts

import (
	"cmp"
	"errors"

	"github.com/lanyard-io/lanyard/internal/trust"
)

// assertionCodes are the codes of package trust's refusals that all proofs have.
var assertionCodes = map[trust.Reason]*code{
	trust.Malformed: codeAssertionMalformed,
	trust.Header:    codeAssertionMalformed,
	trust.Algorithm: codeAlgorithm,
	trust.NoExpiry:  codeTime,
	trust.Expired:   codeTime,
	trust.NotYet:    codeTime,
	trust.Signature: codeSignature,
}

// reasonNotes say in the record what differed, and the likely mend.
var reasonNotes = map[trust.Reason]struct{ differed, hint string }{
	trust.Malformed:   {"", "Send the token itself, a compact JWT, as client_assertion."},
	trust.Header:      {"key", "Sign the assertion as a plain JWS, without crit and b64 in its header."},
	trust.Algorithm:   {"key", "Sign the assertion with the algorithm of the issuer's key, such as RS256."},
	trust.Issuer:      {"issuer", ""},
	trust.Audience:    {"audience", ""},
	trust.NoExpiry:    {"time", "Give the assertion an exp claim that is a number of seconds within the next year."},
	trust.Expired:     {"time", "Read the token file again: the kubelet renews it before it expires. If the token is new, compare the clocks of issuer and server."},
	trust.NotYet:      {"time", "Compare the clocks of issuer and server: the issuer's is ahead."},
	trust.UnknownKey:  {"key", "The issuer has withdrawn or rotated the key: get a new token. If the issuer's keys were uploaded, upload its present ones."},
	trust.UnusedKey:   {"key", "The issuer publishes the key, so this is no rotation: have it sign with one that can be used here, an RSA key of 2048 to 8192 bits, an EC key on P-256, P-384 or P-521, or an Ed25519 key, published for signatures."},
	trust.Signature:   {"signature", "The assertion was changed after it was signed, or another issuer uses the same key id."},
	trust.Unreachable: {"", "If this server cannot reach the issuer, upload the issuer's keys or its CA certificate."},
}

// refuseAssertion words a refusal of package trust, and notes it in the record.
func (q *request) refuseAssertion(err error) error {
	e, ok := errors.AsType[*trust.Error](err)
	if !ok {
		return err
	}
	c := cmp.Or(q.proof.codes[e.Reason], assertionCodes[e.Reason])
	if c == nil {
		return err
	}
	note := reasonNotes[e.Reason]
	if note.differed != "" {
		q.record.Differed = []string{note.differed}
	}
	q.record.Hint = note.hint
	detail := e.Detail
	if c == codeKey {
		detail = "The certificate with identifier " + quote(q.assertion.KeyID) + " used to sign the federated credential could not be found in the metadata of identity provider " + quote(q.assertion.Issuer) + ". " + detail
	}
	return explain(c, err, detail)
}

package sts

import (
	"slices"

	"github.com/lanyard-io/lanyard/internal/trust"
)

// proof is a row of the table of proofs, the ways by which a client proves itself. A new
// proof is a file with its row, and a line in the table.
type proof struct {
	name      string   // in the audit record
	parameter string   // of the form, which carries it
	methods   []string // in the discovery document
	acr       string   // of the token: how well the client is known
	reason    string   // the audit record's sentence for what was granted
	// codes are those of package trust's refusals, besides assertionCodes.
	codes map[trust.Reason]*code
	// takes says whether the parameter holds this proof; it may only parse it.
	takes func(*request) (bool, error)
	// find compares the proof with what is registered. It reads memory only, and leaves
	// the rest to verify.
	find func(*Server, *request) error
	// unknown does the work of find for a client that does not exist, if its time would
	// tell that.
	unknown func(*request)
}

// proofs is every proof that there is. If several rows take a request's proof, the last
// of them does.
var proofs = []*proof{&secretProof, &federatedProof, &certificateProof, &bindingProof}

// The parameters that carry proofs.
const (
	parameterSecret    = "client_secret"
	parameterAssertion = "client_assertion"
)

// readProof finds what proves the client. Basic authentication is a client_secret
// that comes another way.
func (q *request) readProof(basicSecret string) error {
	more := basicSecret != "" && q.form.Get(parameterSecret) != ""
	if basicSecret != "" {
		q.form.Set(parameterSecret, basicSecret)
	}
	presented := ""
	for _, p := range proofs {
		if q.form.Get(p.parameter) != "" && p.parameter != presented {
			more, presented = more || presented != "", p.parameter
		}
	}
	switch {
	case more:
		return refuse(codeMalformed, "The request has more than one client credential.")
	case presented == "" && !q.grant.people:
		return refuse(codeNoCredential, "'client_assertion' or 'client_secret' is required for the 'client_credentials' grant type.")
	}
	for _, p := range proofs {
		if p.parameter != presented {
			continue
		}
		if q.proof == nil {
			q.proof = p
		}
		if ok, err := p.takes(q); err != nil {
			return err
		} else if ok {
			q.proof = p
		}
	}
	if q.cluster != "" && (q.grant.people || q.proof != &bindingProof) {
		return refuse(codeNoCredential, "An identity binding takes a service account's token as client_assertion, and nothing else.")
	}
	return nil
}

// authMethods are the proofs as the discovery document names them: the usual
// method of each one first.
func authMethods() []string {
	var all []string
	for i := range 2 {
		for _, p := range proofs {
			if i < len(p.methods) && !slices.Contains(all, p.methods[i]) {
				all = append(all, p.methods[i])
			}
		}
	}
	return all
}

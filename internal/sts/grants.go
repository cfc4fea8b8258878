package sts

import "context"

// grant is a row of the table of grants: what differs between them. A new grant is
// a file with its row, and a line in the table.
type grant struct {
	name string // of the grant_type
	// people: the token is for a person, who signs in at the client. Such a client
	// need not prove itself, and any form of the tenant will do.
	people bool
	// publicOnly: a client that does not prove itself must be registered as one that
	// cannot. The other grants of people know from their first step who must.
	publicOnly bool
	// reason is the audit record's sentence for what was granted, if it depends on
	// the grant and not on the client's proof.
	reason string
	// scope reads the resource and what else is asked for; nil: an earlier step had it.
	scope func(*request) error
	// find looks up what the form presents and judges it, but does not use it up.
	find func(*Server, context.Context, *request) (subject, error)
	// offered says whether this server takes it; nil: it does.
	offered func(*Server) bool
}

// grants is every grant that there is, in the order of the discovery document.
var grants = []*grant{&clientGrant, &codeGrant, &deviceGrant, &refreshGrant, &passwordGrant}

// grantOf reads a grant_type; nil: there is none of that name.
func grantOf(name string) *grant {
	for _, g := range grants {
		if g.name == name {
			return g
		}
	}
	return nil
}

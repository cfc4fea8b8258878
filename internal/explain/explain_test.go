package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/explain"
	"github.com/lanyard-io/lanyard/internal/model"
)

var at = time.Date(2026, 11, 30, 12, 0, 0, 0, time.FixedZone("CET", 3600))

func TestLine(t *testing.T) {
	for name, test := range map[string]struct {
		r    audit.Record
		want string
	}{
		"granted":     {audit.Record{Action: "read", Resource: "kv", Granted: true, ID: "1"}, "granted  read  kv  id 1"},
		"refused":     {audit.Record{Action: "read", Resource: "kv", Code: "ForbiddenByPolicy", ID: "1"}, "refused  read  kv  ForbiddenByPolicy  id 1"},
		"many":        {audit.Record{Action: "read", More: 7, Code: "x"}, "refused 7 more  read  x"},
		"failed":      {audit.Record{Action: "write", Granted: true, Outcome: &audit.Outcome{Status: 412, Code: "PreconditionFailed"}}, "failed 412  write  PreconditionFailed"},
		"pending":     {audit.Record{Action: "write", Granted: true, Outcome: &audit.Outcome{Code: audit.Pending}}, "pending  write"},
		"done":        {audit.Record{Action: "write", Granted: true, Outcome: &audit.Outcome{Status: 201}}, "granted  write"},
		"by-identity": {audit.Record{Action: "a", Granted: true, Caller: &model.Caller{IdentityID: "/subscriptions/s/shop", ObjectID: "o", AppID: "c"}}, "granted  a  by shop"},
		"by-person":   {audit.Record{Action: "a", Granted: true, Caller: &model.Caller{Name: "ann@x", ObjectID: "o", AppID: "c"}}, "granted  a  by ann@x"},
		"by-client":   {audit.Record{Action: "a", Granted: true, Caller: &model.Caller{ObjectID: "o", AppID: "c"}}, "granted  a  by c"},
		"by-object":   {audit.Record{Action: "a", Granted: true, Caller: &model.Caller{ObjectID: "o"}}, "granted  a  by o"},
		"by-subject":  {audit.Record{Action: "a", Exchange: &audit.Exchange{Subject: "system:serviceaccount:a:b"}, Remote: "10.0.0.1"}, "refused  a  by system:serviceaccount:a:b"},
		"by-address":  {audit.Record{Action: "a", Exchange: &audit.Exchange{}, Remote: "10.0.0.1"}, "refused  a  by 10.0.0.1"},
		"changes": {audit.Record{Action: "write", Granted: true, Changes: []audit.Change{
			{Kind: "Vault", Object: "/kv", Before: map[string]string{"a": "1", "b": "x", "same": "s"}, After: map[string]string{"a": "2", "c": "y", "same": "s"}},
			{Kind: "Identity", Object: "/made", After: map[string]string{"principal": "p"}},
			{Kind: "Identity", Object: "/gone", Before: map[string]string{"principal": "p"}},
		}}, `granted  write
    Vault /kv
      a: 1 -> 2
      b: x -> none
      c: none -> y
    Identity /made
      principal: p
    Identity /gone
      principal: was p`},
	} {
		t.Run(name, func(t *testing.T) {
			test.r.Time = at
			var out strings.Builder
			explain.Line(&out, &test.r)
			if diff := cmp.Diff("2026-11-30T11:00:00Z  "+test.want+"\n", out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecision(t *testing.T) {
	for name, test := range map[string]struct {
		r    audit.Record
		want string
	}{
		"nothing-known": {audit.Record{Action: "token", Code: "AADSTS900023"}, "refused  token AADSTS900023\n"},
		"vault": {audit.Record{
			Action: "getSecret", Code: "ForbiddenByPolicy", Reason: "The policies give no get.", Resource: "kv.vault.x/secrets/a", Remote: "10.0.0.1", Server: "one",
			Caller: &model.Caller{ObjectID: "o"}, Outcome: &audit.Outcome{Status: 403, Code: "Forbidden"},
		}, `refused  getSecret ForbiddenByPolicy
  The policies give no get.
  resource  kv.vault.x/secrets/a
  from      10.0.0.1
  server    one
  caller    o
  outcome   403 Forbidden
`},
		"subject-differs": {audit.Record{Action: "token", Code: "AADSTS700213", Exchange: &audit.Exchange{
			Issuer: "https://i", Subject: "system:serviceaccount:a:b", Audiences: []string{"api://x", "y"}, KeyID: "k", Algorithm: "RS256",
			NotBefore: "2026-11-30T11:00:00Z", Expires: "2026-11-30T12:00:00Z", Differed: []string{"subject"}, Hint: "look at the account",
			Registered: []audit.Registered{{Name: "pod", Issuer: "https://i", Subject: "system:serviceaccount:a:c", Audience: "api://x"}},
		}}, `refused  token AADSTS700213
                  presented                                     
  issuer          https://i                                     
  subject         system:serviceaccount:a:b                     <- differs
  audience        api://x y                                     
  key             k RS256                                       
  time            2026-11-30T11:00:00Z to 2026-11-30T12:00:00Z  
  registered pod                                                
    issuer        https://i                                     
    subject       system:serviceaccount:a:c                     
    audience      api://x                                       
  hint: look at the account
`},
		"expression": {audit.Record{Action: "token", Exchange: &audit.Exchange{
			Expires: "2026-11-30T12:00:00Z", Differed: []string{"time"},
			Registered: []audit.Registered{{Name: "any", Issuer: "https://i", Expression: "claims['sub'] eq 'x'", Audience: "a"}},
		}}, `refused  token 
                  presented             
  time            2026-11-30T12:00:00Z  <- differs
  registered any                        
    issuer        https://i             
    matching      claims['sub'] eq 'x'  
    audience      a                     
`},
	} {
		t.Run(name, func(t *testing.T) {
			test.r.Time = at
			var out strings.Builder
			explain.Decision(&out, &test.r)
			if diff := cmp.Diff("2026-11-30T11:00:00Z  "+test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

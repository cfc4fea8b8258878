package sts

import (
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
)

// tenantForm is how a path names the tenant. Documents differ by it.
type tenantForm uint8

const (
	tenantOwn           tenantForm = iota // the GUID, in any letter case, or our domain
	tenantADFS                            // "adfs": clients then skip instance discovery
	tenantCommon                          // "common": any tenant
	tenantOrganizations                   // "organizations": any tenant
)

// segment is the tenant's spelling in the URLs that we give out.
func (s *Server) segment(f tenantForm) string {
	switch f {
	case tenantADFS:
		return "adfs"
	case tenantCommon:
		return "common"
	case tenantOrganizations:
		return "organizations"
	case tenantOwn:
	}
	return s.tenantID
}

// tenant reads a path's tenant segment.
func (s *Server) tenant(segment string) (tenantForm, error) {
	name := strings.ToLower(segment)
	switch {
	case name == s.tenantID, name == s.domain:
		return tenantOwn, nil
	case name == "adfs":
		return tenantADFS, nil
	case name == "common":
		return tenantCommon, nil
	case name == "organizations":
		return tenantOrganizations, nil
	case model.ValidUUID(name), strings.Contains(name, ".") && hostName(name):
		return 0, refuse(codeTenantUnknown, "Tenant %s not found. This server has one tenant, %s.", quote(segment), s.tenantID)
	}
	return 0, refuse(codeTenantMalformed, "Specified tenant identifier %s is neither a GUID nor a domain name.", quote(segment))
}

// tenantNamed refuses a client that asks for itself and leaves the tenant open: only a
// person tells which one it is.
func (s *Server) tenantNamed(q *request) error {
	if q.grant.people || q.cluster != "" || q.tenant != tenantCommon && q.tenant != tenantOrganizations {
		return nil
	}
	return refuse(codeTenantMissing, "No tenant-identifying information found in either the request or implied by any provided credentials. Name the tenant, %s, in place of %s.", s.tenantID, quote(s.segment(q.tenant)))
}

// hostName says whether a lower-case name is made of DNS labels.
func hostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

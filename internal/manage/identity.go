package manage

// Identity is a managed identity.
type Identity struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		TenantID    string `json:"tenantId"`
		ClientID    string `json:"clientId"`
		PrincipalID string `json:"principalId"` // its object id, which policies and roles name
	} `json:"properties,omitzero"`
}

// Identities are a group's managed identities; without a group, all can be listed.
func (c *Client) Identities(group string) Collection[Identity] {
	return inGroup[Identity](c, group, identityKind())
}

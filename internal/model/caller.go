package model

// Caller is whoever holds a verified access token.
type Caller struct {
	ObjectID string // oid: what policies and roles name
	AppID    string // appid: the client that asked for the token
	TenantID string // tid
	Issuer   string // iss
	Type     string // app or user
	// IdentityID is the managed identity's ARM id; empty for anyone else.
	IdentityID string
	// Name is a person's user name; empty for applications.
	Name string
	// TokenID is the token's uti, so that a use can be traced to its issue.
	TokenID string
}

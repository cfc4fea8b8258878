package model

import (
	"strings"
	"time"
)

// Server is one of the servers that share a store, for the others to find.
type Server struct {
	Address string    `json:"address"` // HOST:PORT of its listener, from the others
	Name    string    `json:"name"`
	Seen    time.Time `json:"seen"` // when it last said that it is there
}

// ServersKey is the prefix of all servers.
const ServersKey = "/servers/"

// Kind implements Object.
func (*Server) Kind() Kind { return "Server" }

// Key implements Object.
func (s *Server) Key() string { return ServersKey + strings.ToLower(s.Address) }

// Index implements Object.
func (*Server) Index() []string { return nil }

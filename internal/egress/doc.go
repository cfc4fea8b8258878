// Package egress says where the server may connect to when somebody else chose the
// address, such as who wrote a federated credential or attached a cluster; and why a
// connection failed, without a word of what answered.
package egress

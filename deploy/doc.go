// Package deploy holds what is installed in a cluster: the webhook's plain
// manifests, and how they are filled in. The Helm charts beside it make the same
// objects. It applies nothing and knows no cluster.
package deploy

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Issuer is iss of the cluster's tokens, as its discovery document says.
func (k *Cluster) Issuer(ctx context.Context) (string, error) {
	b, err := k.Raw(ctx, "/.well-known/openid-configuration")
	if err != nil {
		return "", fmt.Errorf("reading the cluster's issuer: %w", err)
	}
	var d struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(b, &d); err != nil || d.Issuer == "" {
		return "", errors.New("the cluster's discovery document names no issuer")
	}
	return d.Issuer, nil
}

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// User is somebody as the cluster knows them.
type User struct {
	Name   string              `json:"username"`
	UID    string              `json:"uid,omitempty"`
	Groups []string            `json:"groups,omitempty"`
	Extra  map[string][]string `json:"extra,omitempty"`
}

// ErrToken says that the cluster does not accept a token.
var ErrToken = errors.New("the cluster does not accept the token")

// ReviewToken asks the cluster whose token this is. It must be for one of the
// audiences; any other is ErrToken.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
func (k *Cluster) ReviewToken(ctx context.Context, token string, audiences []string) (User, error) {
	if token == "" || len(audiences) == 0 {
		return User{}, fmt.Errorf("%w: no token, or no audience to check it for", ErrToken)
	}
	var status struct {
		Authenticated bool     `json:"authenticated"`
		User          User     `json:"user"`
		Audiences     []string `json:"audiences"`
	}
	err := k.review(ctx, "authentication.k8s.io/v1", "TokenReview", "tokenreviews",
		map[string]any{"token": token, "audiences": audiences}, &status)
	switch {
	case err != nil:
		return User{}, fmt.Errorf("asking the cluster about a token: %w", err)
	case !status.Authenticated:
		return User{}, ErrToken
	case !slices.ContainsFunc(status.Audiences, func(a string) bool { return slices.Contains(audiences, a) }):
		return User{}, fmt.Errorf("%w: it is for another audience", ErrToken)
	case status.User.Name == "":
		return User{}, fmt.Errorf("%w: it is nobody's", ErrToken)
	}
	return status.User, nil
}

// Attributes are what somebody wants to do.
type Attributes struct {
	Namespace   string `json:"namespace,omitempty"`
	Verb        string `json:"verb"`
	Group       string `json:"group,omitempty"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Name        string `json:"name,omitempty"`
}

// Allowed asks the cluster whether a user may do something.
// https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
func (k *Cluster) Allowed(ctx context.Context, user User, a Attributes) (bool, error) {
	if user.Name == "" || a.Verb == "" || a.Resource == "" {
		return false, errors.New("asking about a permission: no user, verb or resource")
	}
	return k.allowed(ctx, "SubjectAccessReview", "subjectaccessreviews", map[string]any{
		"user": user.Name, "uid": user.UID, "groups": user.Groups, "extra": user.Extra, "resourceAttributes": a,
	})
}

// MayI asks the cluster whether the credentials in use permit something.
func (k *Cluster) MayI(ctx context.Context, a Attributes) (bool, error) {
	return k.allowed(ctx, "SelfSubjectAccessReview", "selfsubjectaccessreviews", map[string]any{"resourceAttributes": a})
}

func (k *Cluster) allowed(ctx context.Context, kind, resource string, spec map[string]any) (bool, error) {
	var status struct {
		Allowed bool `json:"allowed"`
		Denied  bool `json:"denied"`
	}
	if err := k.review(ctx, "authorization.k8s.io/v1", kind, resource, spec, &status); err != nil {
		return false, fmt.Errorf("asking the cluster about a permission: %w", err)
	}
	return status.Allowed && !status.Denied, nil
}

// review posts a question of which the cluster keeps nothing.
func (k *Cluster) review(ctx context.Context, apiVersion, kind, resource string, spec, status any) error {
	body, err := json.Marshal(map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec})
	if err != nil {
		return err
	}
	b, err := k.do(ctx, k.rest.Post().AbsPath("/apis/"+apiVersion+"/"+resource).SetHeader("Content-Type", "application/json").Body(body))
	if err != nil {
		return err
	}
	var answer struct {
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Status == nil {
		return fmt.Errorf("a %s without a status", kind)
	}
	return json.Unmarshal(answer.Status, status)
}

// TokenRequest asks for a service account's token.
type TokenRequest struct {
	Namespace, Account string
	Audiences          []string
	Seconds            int64 // default and bounds are the cluster's; at least 600
	// PodName and PodUID bind the token to a pod; it ends with it.
	PodName, PodUID string
}

// Token is a service account's token.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expirationTimestamp"`
}

// CreateToken has the cluster make a token, as the kubelet does for pods.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
func (k *Cluster) CreateToken(ctx context.Context, r TokenRequest) (Token, error) {
	if err := checkNames(r.Namespace, r.Account); err != nil {
		return Token{}, err
	}
	spec := map[string]any{"audiences": r.Audiences}
	if r.Seconds != 0 {
		spec["expirationSeconds"] = r.Seconds
	}
	if r.PodName != "" {
		spec["boundObjectRef"] = map[string]string{"kind": "Pod", "apiVersion": "v1", "name": r.PodName, "uid": r.PodUID}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
	if err != nil {
		return Token{}, err
	}
	path := "/api/v1/namespaces/" + url.PathEscape(r.Namespace) + "/serviceaccounts/" + url.PathEscape(r.Account) + "/token"
	b, err := k.do(ctx, k.rest.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body))
	if err != nil {
		return Token{}, fmt.Errorf("making a token of service account %s in namespace %s: %w", r.Account, r.Namespace, err)
	}
	var answer struct {
		Status Token `json:"status"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Status.Token == "" {
		return Token{}, errors.New("the cluster answers without a token")
	}
	return answer.Status, nil
}

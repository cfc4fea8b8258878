package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/serialization"
	"github.com/microsoft/kiota-abstractions-go/store"
	kiotaauth "github.com/microsoft/kiota-authentication-azure-go"
	kiotahttp "github.com/microsoft/kiota-http-go"
	kiotajson "github.com/microsoft/kiota-serialization-json-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
)

const baseURL = "https://graph.microsoft.com/v1.0"

// The SDK's own: what a collection, and one of its things, can be asked for.
const (
	ofMany = "{?%24count,%24expand,%24filter,%24orderby,%24search,%24select,%24skip,%24top}"
	ofOne  = "{?%24expand,%24select}"
)

var options = core.GraphClientOptions{GraphServiceLibraryVersion: "1.45.0"}

// pipeline is azwi's transport: Kiota's middleware, gzip among it, for every request.
type pipeline struct {
	middleware []kiotahttp.Middleware
	transport  http.RoundTripper
}

func (p *pipeline) RoundTrip(r *http.Request) (*http.Response, error) { return p.Next(r, 0) }

func (p *pipeline) Next(r *http.Request, i int) (*http.Response, error) {
	if i < len(p.middleware) {
		return p.middleware[i].Intercept(p, i+1, r)
	}
	answer, err := p.transport.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusUnsupportedMediaType {
		answer.Body.Close()
		return nil, errors.New("the body in gzip is refused; Kiota would hide that and send it as it is")
	}
	return answer, err
}

func newHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	return &http.Client{
		Transport:     &pipeline{core.GetDefaultMiddlewaresWithOptions(&options), transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// graph has the request builders of the SDK that azwi calls.
type graph struct{ adapter kiota.RequestAdapter }

func newGraph(credential azcore.TokenCredential, httpClient *http.Client) (*graph, error) {
	auth, err := kiotaauth.NewAzureIdentityAuthenticationProviderWithScopes(credential, []string{"https://graph.microsoft.com/.default"})
	if err != nil {
		return nil, err
	}
	adapter, err := core.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(auth, options, nil, nil, httpClient)
	if err != nil {
		return nil, err
	}
	kiota.RegisterDefaultSerializer(func() serialization.SerializationWriterFactory { return kiotajson.NewJsonSerializationWriterFactory() })
	kiota.RegisterDefaultDeserializer(func() serialization.ParseNodeFactory { return kiotajson.NewJsonParseNodeFactory() })
	adapter.SetBaseUrl(baseURL)
	adapter.EnableBackingStore(store.BackingStoreFactoryInstance)
	return &graph{adapter}, nil
}

func request(method kiota.HttpMethod, template string, parameters map[string]string) *kiota.RequestInformation {
	path := map[string]string{"baseurl": baseURL}
	for k, v := range parameters {
		path[k] = v
	}
	r := kiota.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(method, "{+baseurl}/"+template, path)
	r.Headers.TryAdd("Accept", "application/json")
	return r
}

var refusals = kiota.ErrorMappings{"XXX": newGraphError}

func (g *graph) post(ctx context.Context, template string, parameters map[string]string, body *object) (*object, error) {
	r := request(kiota.POST, template, parameters)
	if err := r.SetContentFromParsable(ctx, g.adapter, "application/json", body); err != nil {
		return nil, err
	}
	answer, err := g.adapter.Send(ctx, r, newObject, refusals)
	if err != nil {
		return nil, err
	}
	return answer.(*object), nil
}

func (g *graph) list(ctx context.Context, template string, parameters map[string]string, filter string) ([]*object, error) {
	r := request(kiota.GET, template, parameters)
	r.AddQueryParameters(struct {
		Filter *string `uriparametername:"%24filter"`
	}{&filter})
	answer, err := g.adapter.Send(ctx, r, newCollection, refusals)
	if err != nil {
		return nil, err
	}
	return answer.(*collection).value, nil
}

// find gives the first of a collection that has this value, or nil.
func (g *graph) find(ctx context.Context, of, property, value string) (*object, error) {
	found, err := g.list(ctx, of+ofMany, nil, fmt.Sprintf("%s eq '%s'", property, value))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

func (g *graph) createApplication(ctx context.Context, name string) (*object, error) {
	return g.post(ctx, "applications"+ofMany, nil, &object{texts: map[string]string{
		"@odata.type": "#microsoft.graph.application", "displayName": name,
	}})
}

func (g *graph) createPrincipal(ctx context.Context, appID string) (*object, error) {
	return g.post(ctx, "servicePrincipals"+ofMany, nil, &object{tags: []string{"azwi version: v1.6.0, commit: "}, texts: map[string]string{
		"@odata.type": "#microsoft.graph.servicePrincipal", "appId": appID,
	}})
}

const federated = "applications/{application%2Did}/federatedIdentityCredentials"

func (g *graph) addFederated(ctx context.Context, app string, body *object) error {
	_, err := g.post(ctx, federated+ofMany, map[string]string{"application%2Did": app}, body)
	return err
}

func (g *graph) findFederated(ctx context.Context, app, issuer, subject string) (*object, error) {
	found, err := g.list(ctx, federated+ofMany, map[string]string{"application%2Did": app}, fmt.Sprintf("subject eq '%s'", subject))
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.text("issuer") == issuer {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no federated credential for %s", subject)
}

func (g *graph) deleteFederated(ctx context.Context, app, id string) error {
	return g.adapter.SendNoContent(ctx, request(kiota.DELETE, federated+"/{federatedIdentityCredential%2Did}"+ofOne,
		map[string]string{"application%2Did": app, "federatedIdentityCredential%2Did": id}), refusals)
}

func (g *graph) deleteApplication(ctx context.Context, id string) error {
	return g.adapter.SendNoContent(ctx, request(kiota.DELETE, "applications/{application%2Did}"+ofOne,
		map[string]string{"application%2Did": id}), refusals)
}

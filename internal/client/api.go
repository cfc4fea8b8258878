package client

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// API is one of the two that things are managed with: Resource Manager's or the
// directory's.
type API struct {
	c       *Client
	base    string // what goes before every path
	scope   string // what its tokens are for
	version string // of Resource Manager's; the directory has its own in the base
}

// ResourceManager is the management API at one of its versions.
func (c *Client) ResourceManager(version string) API {
	return API{c, c.at.management, c.at.management, version}
}

// Directory is Microsoft Graph's API.
func (c *Client) Directory() API { return API{c, c.at.graph + "/v1.0", c.at.graph, ""} }

// Call sends one request. path may have a query; header, body and answer may be nil,
// and the last two are JSON. The answer that is returned has been read.
func (a API) Call(ctx context.Context, method, path string, header http.Header, body, answer any) (*http.Response, error) {
	token, err := a.c.Token(ctx, a.scope)
	if err != nil {
		return nil, err
	}
	return a.c.do(ctx, call{method: method, url: a.URL(path), token: token, header: header, body: body}, answer)
}

// Pages reads a collection from its first page to its last.
func (a API) Pages(ctx context.Context, path string, each func(json.RawMessage) error) error {
	token, err := a.c.Token(ctx, a.scope)
	if err != nil {
		return err
	}
	for next := a.URL(path); next != ""; {
		var page struct {
			Value    []json.RawMessage `json:"value"`
			NextLink string            `json:"nextLink"`        // Resource Manager's
			OData    string            `json:"@odata.nextLink"` // Graph's
		}
		if _, err := a.c.do(ctx, call{method: http.MethodGet, url: next, token: token}, &page); err != nil {
			return err
		}
		for _, item := range page.Value {
			if err := each(item); err != nil {
				return err
			}
		}
		next = cmp.Or(page.NextLink, page.OData)
	}
	return nil
}

// URL is where a path is, with the version that it is asked for.
func (a API) URL(path string) string {
	if a.version == "" {
		return a.base + path
	}
	mark := "?"
	if strings.Contains(path, "?") {
		mark = "&"
	}
	return a.base + path + mark + "api-version=" + url.QueryEscape(a.version)
}

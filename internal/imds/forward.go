package imds

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// MetadataURL is where the real metadata service is.
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
const MetadataURL = "http://169.254.169.254"

// Forwarder passes requests on to the metadata service at an address. It must not say for
// whom: that service refuses X-Forwarded-For.
func Forwarder(address string, log *slog.Logger) (http.Handler, error) {
	to, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = to.Host
		},
		Transport: &http.Transport{Proxy: nil, ResponseHeaderTimeout: 5 * time.Second, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.WarnContext(r.Context(), "could not pass a metadata request on", "error", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}, nil
}

package browser

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
)

// known are what a browser of Chromium's family may be called.
var known = []string{
	"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "microsoft-edge-stable", "brave-browser",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	"/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
}

// Config for Open.
type Config struct {
	// Program is the browser's; default the first that is installed.
	Program string
	// URL to open; default the sign-in page.
	URL string
	// Flags go to the browser as they are.
	Flags []string
	// Names are the server's, and Listen is where it is reached from here.
	Names  *names.Names
	Listen string
	// Roots are what its certificate is checked with; nil for the system's.
	Roots *x509.CertPool
	// Out and Err are the browser's.
	Out, Err io.Writer
	// Say is told what is opened, before it is.
	Say func(format string, args ...any)
}

// Open opens a browser with a profile of its own, and waits for its end.
func Open(ctx context.Context, c Config) (err error) {
	login := c.Names.Own().LoginURL() + "/"
	if c.URL == "" {
		c.URL = login
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		return fault.WithHint(fmt.Errorf("%q is no https URL", c.URL), "lanyard browser "+login)
	}
	if c.Program, err = find(c.Program); err != nil {
		return err
	}
	listen := reachable(c.Listen)
	key, err := serverKey(ctx, listen, c.Roots, c.Names.Own().Host(names.Login))
	if err != nil {
		return err
	}
	profile, err := os.MkdirTemp("", "lanyard-browser-") // made 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(profile)) }()

	_, port, _ := net.SplitHostPort(c.Names.Own().HostPort(c.Names.Own().Host(names.Login)))
	options := options(c.Names.Certificate(), port, listen, profile, key)
	cmd := exec.CommandContext(ctx, c.Program, append(append(options, c.Flags...), c.URL)...)
	cmd.Stdout, cmd.Stderr = c.Out, c.Err
	// It may close its windows and write its profile's end.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 5*time.Second
	c.Say("opening %s with a profile of its own, which is removed at the end", c.Program)
	c.Say("it finds %s and what is below it at %s, and accepts the server's own key there", c.Names.Own().HostPort(c.Names.Own().Domain), listen)
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fault.WithHint(fmt.Errorf("%s: %w", c.Program, err), "as root it needs -- --no-sandbox; without a display -- --headless=new")
	}
	return nil
}

// reachable is where a listener of all addresses is reached from here.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

func find(program string) (string, error) {
	if program != "" {
		path, err := exec.LookPath(program)
		if err != nil {
			err = fault.WithHint(fmt.Errorf("no program %s", program), "leave --browser out for the first that is installed")
		}
		return path, err
	}
	for _, name := range known {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fault.WithHint(errors.New("no browser of Chromium's family is installed"),
		"install one, name it with --browser, or use az login --use-device-code with a browser that trusts the CA")
}

// serverKey is the hash of the key of the server's certificate, which is checked first.
func serverKey(ctx context.Context, listen string, roots *x509.CertPool, host string) (string, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: roots}
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", listen)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// options lead the server's names, and no others, to where it listens.
func options(hosts []string, port, listen, profile, key string) []string {
	if port == "" {
		port = "443"
	}
	var rules []string
	for _, host := range hosts {
		rules = append(rules, "MAP "+host+":"+port+" "+listen)
	}
	return []string{
		"--user-data-dir=" + profile, "--no-first-run", "--no-default-browser-check", "--no-proxy-server",
		"--host-resolver-rules=" + strings.Join(rules, ","), "--ignore-certificate-errors-spki-list=" + key,
	}
}

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
)

// browsers are what a browser of Chromium's family may be called.
var browsers = []string{
	"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "microsoft-edge-stable", "brave-browser",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	"/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
}

func newBrowserCmd(a *app) *cobra.Command {
	var program string
	cmd := &cobra.Command{
		Use:   "browser [URL] [-- FLAG...]",
		Short: "Open a browser that finds this machine's server and trusts it",
		Long: `Open an installed browser of Chromium's family (Chromium, Chrome, Edge, Brave) at a URL
of the server on this machine, with a profile of its own that is removed at the end.

Such browsers send no name below localhost through a proxy, so on the default address
they find no sign-in page by themselves. This one is told where the server's names are,
and to accept the key of the server's certificate, after that certificate was checked
with the server's CA. All other certificates are checked as ever, and your own browser
and profile stay as they are. What follows -- goes to the browser.

az login opens it with the variable BROWSER that lanyard env --browser sets.`,
		Example: `  lanyard browser
  eval "$(lanyard env --browser)" && az login
  lanyard browser https://login.lanyard.localhost/devicelogin`,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := []string(nil)
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				args, flags = args[:at], args[at:]
			}
			if len(args) > 1 {
				return fault.WithHint(fmt.Errorf("accepts at most one URL, received %d", len(args)), cmd.CommandPath()+" --help")
			}
			return a.browse(cmd.Context(), program, args, flags)
		},
	}
	cmd.Flags().StringVar(&program, "browser", "", "the browser's `program` (default the first that is installed)")
	return cmd
}

func (a *app) browse(ctx context.Context, program string, args, flags []string) (err error) {
	state, err := a.state()
	if err != nil {
		return err
	}
	n, err := names.New(names.Config{Address: state.Address, Azure: state.AzureNames, Aliases: state.Aliases})
	if err != nil {
		return err
	}
	where := n.Own().LoginURL() + "/"
	if len(args) == 1 {
		where = args[0]
	}
	if u, err := url.Parse(where); err != nil || u.Scheme != "https" || u.Host == "" {
		return fault.WithHint(fmt.Errorf("%q is no https URL", where), "lanyard browser "+n.Own().LoginURL()+"/")
	}
	if program, err = findBrowser(program); err != nil {
		return err
	}
	listen := reachable(state.Listen)
	key, err := a.serverKey(ctx, listen, state.OwnCA, n.Own().Login)
	if err != nil {
		return err
	}
	profile, err := os.MkdirTemp("", "lanyard-browser-") // made 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(profile)) }()

	_, port, _ := net.SplitHostPort(n.Own().HostPort(n.Own().Login))
	options := browserFlags(n.Certificate(), port, listen, profile, key)
	cmd := exec.CommandContext(ctx, program, append(append(options, flags...), where)...)
	cmd.Stdout, cmd.Stderr = a.Out, a.Err
	// It may close its windows and write its profile's end.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 5*time.Second
	a.say("opening %s with a profile of its own, which is removed at the end", program)
	a.say("it finds %s and what is below it at %s, and accepts the server's own key there", state.Address, listen)
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fault.WithHint(fmt.Errorf("%s: %w", program, err), "as root it needs -- --no-sandbox; without a display -- --headless=new")
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

func findBrowser(program string) (string, error) {
	if program != "" {
		path, err := exec.LookPath(program)
		if err != nil {
			err = fault.WithHint(fmt.Errorf("no program %s", program), "leave --browser out for the first that is installed")
		}
		return path, err
	}
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fault.WithHint(errors.New("no browser of Chromium's family is installed"),
		"install one, name it with --browser, or use az login --use-device-code with a browser that trusts the CA")
}

// serverKey is the hash of the key of the server's certificate, which is checked first.
func (a *app) serverKey(ctx context.Context, listen string, ownCA bool, host string) (string, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ownCA {
		roots, err := readRoots(server.Dir(a.dataDir).CA())
		if err != nil {
			return "", err
		}
		c.RootCAs = roots
	}
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", listen)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// browserFlags lead the server's names, and no others, to where it listens.
func browserFlags(hosts []string, port, listen, profile, key string) []string {
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

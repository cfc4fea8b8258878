// Command kit is what a cluster without Docker needs and Kubernetes does not
// bring: certificates, images made of one program, and a program to put in them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage:
  kit pki -server URL -dir DIR [-address IP]...   certificates, keys and kubeconfigs
  kit image -name NAME -program FILE [-arg ARG]... -out FILE
                                                  an OCI archive of one static program
  kit ports N                                     loopback ports that are free now
  kit get URL                                     succeed if it answers 200
  kit pause                                       wait for a signal, and reap children
  kit cat FILE...                                 print files`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "pki":
		return pki(args[1:])
	case "image":
		return image(args[1:])
	case "ports":
		return ports(args[1:])
	case "get":
		return get(args[1:])
	case "pause":
		pause()
		return nil
	case "cat":
		return cat(args[1:])
	}
	return errors.New(usage)
}

// ports holds all of them before it prints one, so that they differ.
func ports(args []string) error {
	var n int
	if len(args) != 1 {
		return errors.New(usage)
	}
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return fmt.Errorf("number of ports: %w", err)
	}
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
	}
	return nil
}

func get(args []string) error {
	if len(args) != 1 {
		return errors.New(usage)
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(args[0])
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// pause keeps a pod's namespaces open. It is their first process, so it
// inherits the orphans.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func cat(args []string) error {
	for _, name := range args {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func parse(name string, args []string, define func(*flag.FlagSet)) error {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	define(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("kit %s: unexpected %q", name, f.Args())
	}
	return nil
}

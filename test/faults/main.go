package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// row is one kind of fault.
type row struct {
	name  string
	short bool   // is part of the short form
	needs string // "mounts", or nothing
	run   func(context.Context, *suite, *report) error
}

func main() {
	s := &suite{sp: newSpawner()}
	flag.StringVar(&s.lanyard, "lanyard", "bin/lanyard", "the built program")
	flag.StringVar(&s.etcd, "etcd", "etcd", "etcd's program")
	flag.BoolVar(&s.short, "short", false, "the short form")
	flag.BoolVar(&s.verbose, "v", false, "say how long each row took")
	flag.BoolVar(&s.mounts, "mounts", false, "mount small disks: this is a mount namespace of its own")
	only := flag.String("only", "", "run the rows whose name fits this regular expression")
	list := flag.Bool("list", false, "list the rows and end")
	flag.Parse()
	if *list {
		for _, r := range rows() {
			fmt.Println(r.name)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := s.main(ctx, regexp.MustCompile(*only))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = 1
	}
	os.Exit(code)
}

func (s *suite) main(ctx context.Context, only *regexp.Regexp) (code int, err error) {
	if s.dir, err = os.MkdirTemp(dataRoot(), "lanyard-faults-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(s.dir)
	began := time.Now()
	var reports []*report
	printHead(os.Stdout)
	for _, r := range rows() {
		if s.short && !r.short || !only.MatchString(r.name) {
			continue
		}
		if ctx.Err() != nil {
			return 1, ctx.Err()
		}
		one := s.one(ctx, r)
		one.print(os.Stdout)
		reports = append(reports, one)
		if !one.ok() || one.skipped != "" && os.Getenv("CI") != "" {
			code = 1
		}
	}
	printFaults(os.Stdout, reports)
	fmt.Printf("\n%d rows in %s\n", len(reports), time.Since(began).Round(time.Second))
	return code, nil
}

// dataRoot is where data goes: into memory where there is enough, for a killed process
// loses nothing that it wrote, and the mood of a disk that others use would be judged
// with the servers. The rows about disks bring their own.
func dataRoot() string {
	const shm, enough = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(shm, &fs) == nil && fs.Bavail*uint64(fs.Bsize) > enough {
		return shm
	}
	return ""
}

// rowLimit ends a row that hangs.
const rowLimit = 15 * time.Minute

func (s *suite) one(ctx context.Context, r row) *report {
	one := &report{name: r.name, began: time.Now(), counts: map[string]int{}}
	if r.needs == "mounts" && !s.mounts {
		one.skipped = "it needs root, and test/faults/run, to mount a small disk"
		return one
	}
	ctx, cancel := context.WithTimeout(ctx, rowLimit)
	defer cancel()
	if err := r.run(ctx, s, one); err != nil {
		one.bad = append(one.bad, err.Error())
	}
	if s.verbose {
		one.figure("took %s", time.Since(one.began).Round(time.Second))
	}
	return one
}

// rows are all kinds of faults, the quick ones first.
func rows() []row {
	return []row{
		{"server killed (-9) under load", true, "", killed},
		{"lone server killed (-9) under load", true, "", killedAlone},
		{"SIGTERM under load, HTTP/1.1", true, "", terminated(false)},
		{"SIGTERM under load, HTTP/2", true, "", terminated(true)},
		{"first start cut, own etcd", true, "", firstStartCut(false)},
		{"first start cut, external etcd", true, "", firstStartCut(true)},
		{"few file handles at the start", true, "", fewHandles},
		{"bad etcd at the start", true, "", badEtcd},
		{"damaged database at the start", false, "", damaged},
		{"seal rotate cut", true, "", sealCut("rotate")},
		{"seal rekey cut", true, "", sealCut("rekey")},
		{"seal rotate cut, two servers up", false, "", sealCutExternal},
		{"signing keys' rotation cut", true, "", keysCut},
		{"fresh credentials among strangers", true, "", fresh},
		{"disk of the audit log full", true, "mounts", auditFull},
		{"disk of a lone server full", true, "mounts", loneFull},
		{"disk of a member full", false, "mounts", memberFull},
		{"quota of etcd full", true, "", quotaFull},
		{"slow disk of the leader", false, "", slowDisk},
		{"certificate swapped under load", false, "", certificateSwapped},
		{"clock ahead and back", true, "", clockAhead},
		{"member frozen", true, "", memberDown(frozen)},
		{"member cut off from its peers", true, "", memberDown(cutOff)},
		{"leader cut off from its peers", false, "", memberDown(cutOffLeader)},
		{"leader killed", true, "", leaderKilled},
		{"quorum lost and back", true, "", quorumLost},
		{"etcd gone for 10 s", true, "", outage(10 * time.Second)},
		{"etcd gone for 90 s", false, "", outage(90 * time.Second)},
		{"etcd gone for 200 s", false, "", outage(200 * time.Second)},
	}
}

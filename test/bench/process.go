package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// measureProcess starts the built program twice on one directory: the second
// start, with a store that exists, is the one that counts.
func measureProcess(ctx context.Context, binary string) error {
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("%w: run make build", err)
	}
	dir, err := os.MkdirTemp("", "lanyard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, _, err := startOnce(ctx, binary, dir, 0); err != nil {
		return err
	}
	var best time.Duration
	for range 5 {
		ready, _, err := startOnce(ctx, binary, dir, 0)
		if err != nil {
			return err
		}
		if best == 0 || ready < best {
			best = ready
		}
	}
	_, memory, err := startOnce(ctx, binary, dir, 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Printf("\nstart to ready, existing store    %s (want ≤ 250ms; best of 5)\n", best.Round(time.Millisecond))
	fmt.Printf("idle memory (RSS)                 %.0f MB (want ≤ 80 MB)\n", float64(memory)/1e6)
	fmt.Printf("binary size                       %.1f MB\n", float64(info.Size())/1e6)
	return nil
}

// startOnce runs the program until it is ready, lets it idle, and stops it.
func startOnce(ctx context.Context, binary, dir string, idle time.Duration) (ready time.Duration, rss int64, err error) {
	cmd := exec.CommandContext(ctx, binary, "up", "--data-dir", filepath.Join(dir, "data"),
		"--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--debug", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.Contains(lines.Text(), "msg=ready") {
			ready = time.Since(began)
			break
		}
	}
	go func() { // keep the pipe empty
		buf := make([]byte, 4096)
		for {
			if _, err := stderr.Read(buf); err != nil {
				return
			}
		}
	}()
	time.Sleep(idle)
	rss, statErr := processMemory(cmd.Process.Pid, "VmRSS")
	err = errors.Join(statErr, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	if ready == 0 {
		err = errors.Join(errors.New("the server did not get ready"), err)
	}
	return ready, rss, err
}

// processMemory reads a field of proc_pid_status(5): VmRSS is what a process has,
// VmHWM the most that it ever had.
func processMemory(pid int, field string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		var kb int64
		if n, _ := fmt.Sscanf(string(line), field+": %d kB", &kb); n == 1 {
			return kb * 1024, nil
		}
	}
	return 0, errors.New("no " + field)
}

// treeTime is what this process and all beneath it have used so far.
func treeTime() time.Duration {
	const tick = 10 * time.Millisecond // of all Linux systems: proc_pid_stat(5)
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents, used := map[int]int{}, map[int]time.Duration{}
	for _, path := range entries {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid int
		fmt.Sscan(string(b), &pid)
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // a name may hold anything
		parents[pid], _ = strconv.Atoi(fields[1])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		used[pid] = time.Duration(user+system) * tick
	}
	var all time.Duration
	for pid := range used {
		for p := pid; p > 0; p = parents[p] {
			if p == os.Getpid() {
				all += used[pid]
			}
		}
	}
	return all
}

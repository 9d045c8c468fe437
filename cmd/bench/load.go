package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load asks for a path from all connections for as long as it is told, and returns how many answers came in which time. Anything but a 200 is an error.
// It speaks HTTP/1.1 by hand, since a client that does more takes the processor from what is measured.
func load(ctx context.Context, address, host, path string, how time.Duration) (n int64, took time.Duration, err error) {
	var answers atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	end := began.Add(how)
	for range connections {
		group.Go(func() error {
			n, err := ask(ctx, address, host, path, end)
			answers.Add(n)
			return err
		})
	}
	err = group.Wait()
	return answers.Load(), time.Since(began), err
}

// ask asks over one connection until the end.
func ask(ctx context.Context, address, host, path string, end time.Time) (n int64, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(end.Add(10 * time.Second)); err != nil {
		return 0, err
	}
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
	answers := bufio.NewReader(conn)
	for time.Now().Before(end) && ctx.Err() == nil {
		if _, err := conn.Write(request); err != nil {
			return n, err
		}
		if err := readAnswer(answers); err != nil {
			return n, err
		}
		n++
	}
	return n, ctx.Err()
}

// readAnswer reads one answer with a Content-Length, and drops its body.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the answer is %q", bytes.TrimSpace(status))
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("the answer's Content-Length is %q", value)
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("the answer has no Content-Length")
	}
	_, err = io.CopyN(io.Discard, r, int64(length))
	return err
}

// clockTick is the unit of the times in /proc/PID/stat: Linux shows 100 to programs on every architecture that Go supports (proc(5), USER_HZ).
const clockTick = 10 * time.Millisecond

// processorTime returns how long a process has run on a processor.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcessorTime(string(text))
}

// parseProcessorTime reads utime and stime, the 14th and 15th field of /proc/PID/stat. The second, a name in parentheses, may hold anything.
func parseProcessorTime(stat string) (time.Duration, error) {
	const first = 3 // the field after the name
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15-first+1 {
		return 0, fmt.Errorf("/proc/PID/stat reads %q", stat)
	}
	var ticks int64
	for _, field := range fields[14-first : 16-first] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat reads %q", stat)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

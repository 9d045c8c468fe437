// Command tool is what the test images are made of: a static program that does what its first argument says.
package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "sh", "-c":
		fmt.Println("no shell here")
	case "fail":
		// fail N LINES: prints so many lines and exits N.
		code, _ := strconv.Atoi(os.Args[2])
		lines, _ := strconv.Atoi(os.Args[3])
		for i := 1; i <= lines; i++ {
			fmt.Println("line", i)
		}
		os.Exit(code)
	case "write":
		// write FILE TEXT
		if err := os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "random":
		// random FILE: writes something else each time, and prints it.
		var drawn [16]byte
		_, _ = rand.Read(drawn[:])
		fmt.Printf("drew %x\n", drawn)
		if err := os.WriteFile(os.Args[2], drawn[:], 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "note":
		// note FILE TEXT: prints what FILE holds, and adds TEXT.
		before, _ := os.ReadFile(os.Args[2])
		fmt.Printf("holds %q\n", before)
		if err := os.WriteFile(os.Args[2], append(before, os.Args[3]...), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "hash":
		// hash FILE TO: prints FILE, and writes its SHA-256 to TO; where FILE is not there, nothing.
		content, _ := os.ReadFile(os.Args[2])
		fmt.Printf("read %s\n", content)
		sum := sha256.Sum256(content)
		if err := os.WriteFile(os.Args[3], []byte(hex.EncodeToString(sum[:])), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "meet":
		// meet ADDRESS TEXT: tells ADDRESS that it runs, and waits until it is told to go on.
		conn, err := net.Dial("tcp", os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(conn, os.Args[3])
		_, _ = io.Copy(io.Discard, conn)
	case "wait":
		fmt.Println("waiting")
		time.Sleep(time.Hour)
	}
}

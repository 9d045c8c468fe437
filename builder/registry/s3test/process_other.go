//go:build !linux

package s3test

import "syscall"

// diesWithParent changes nothing where the system offers no such thing: there, a test that is killed leaves its server.
func diesWithParent() *syscall.SysProcAttr { return nil }

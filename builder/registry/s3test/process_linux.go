package s3test

import "syscall"

// diesWithParent has the server killed when the test's process ends, however it ends.
func diesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

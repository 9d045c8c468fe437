package proxyroutes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestKindOfReply(t *testing.T) {
	for reply, want := range map[string]kind{
		"LOADING Redis is loading the dataset in memory":                                           loading,
		"READONLY You can't write against a read only replica. script: 3f2a, on @user_script:1.":   readOnly,
		"OOM command not allowed when used memory > 'maxmemory'. script: 3f2a, on @user_script:1.": readOnly,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist":  readOnly,
		"NOREPLICAS Not enough good replicas to write.":                                            readOnly,
		"ERR Error running script (call to f_3f2a): @user_script:18: -OOM command not allowed":     readOnly,
		"ERR Error running script (call to f_3f2a): @user_script:18: @user_script: 18: -MISCONF x": readOnly,
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":   busy,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":         busy,
		"ERR max number of clients reached":                                                        busy,
		"ERR Protocol error: unauthenticated multibulk length":                                     misused,
		"NOAUTH Authentication required.":                                                          misused,
		"WRONGPASS invalid username-password pair or user is disabled.":                            misused,
		"NOPERM User reader has no permissions to run the 'set' command":                           misused,
		"ERR invalid password": misused,
		"ERR AUTH <password> called without any password configured for the default user.": misused,
		"ERR DB index is out of range":                                                                  misused,
		"ERR SELECT is not allowed in cluster mode":                                                     misused,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                             refused,
		"ERR unknown command 'evalsha'":                                                                 refused,
		"ERR value is not an integer or out of range of what -OOMPAH would take, which is no such code": refused,
	} {
		if got := kindOfReply(reply); got != want {
			t.Errorf("%q is of the kind %d, want %d", reply, got, want)
		}
	}
}

// A reply is what Redis answers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

var _ redis.Error = reply("")

func TestExplain(t *testing.T) {
	plain := &redis.Options{Addr: "redis.acme.test:6379", Password: "hunter2"}
	secure := &redis.Options{Addr: "redis.acme.test:6380", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, c := range []struct {
		options *redis.Options
		err     error
		want    string
	}{
		{plain, dial(syscall.ECONNREFUSED), "Redis at redis.acme.test:6379 cannot be reached: dial tcp: connection refused; start it, or mend redis-url"},
		{plain, io.EOF, "Redis at redis.acme.test:6379 hangs up: EOF; where it wants TLS, begin redis-url with rediss://"},
		{plain, context.DeadlineExceeded, "Redis at redis.acme.test:6379 does not answer within 2s: context deadline exceeded; look whether it is overloaded, and whether a firewall lies between"},
		{secure, context.DeadlineExceeded, "Redis at redis.acme.test:6380 does not answer within 2s: context deadline exceeded; look whether it is overloaded, and whether a firewall lies between; where it does not speak TLS, begin redis-url with redis://"},
		{secure, &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, "Redis at redis.acme.test:6380 ends the TLS connection: remote error: tls: certificate required; where it asks clients for certificates, set its tls-auth-clients to no"},
		{plain, fmt.Errorf("scan: %w", reply("LOADING x")), "Redis at redis.acme.test:6379 still reads its dump: scan: LOADING x"},
		{plain, reply("ERR unknown command 'HELLO', with args beginning with: '2' 'AUTH' 'default' 'hunter2'"), "Redis at redis.acme.test:6379 refuses a command: ERR unknown command 'HELLO', with args beginning with: '2' 'AUTH' 'default' '***'"},
	} {
		got := explain(c.options, c.err)
		if got.Error() != c.want || !errors.Is(got, c.err) {
			t.Errorf("got  %v\nwant %s", got, c.want)
		}
		if again := explain(c.options, fmt.Errorf("write routes: %w", got)); strings.Count(again.Error(), "Redis at") != 1 || kindOf(again) != kindOf(c.err) {
			t.Errorf("explained twice it is %v", again)
		}
	}
	if explain(plain, nil) != nil {
		t.Error("no error has an explanation")
	}
}

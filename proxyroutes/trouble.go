package proxyroutes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// A trouble is what is the matter with Redis, in words for whoever runs the server. It never quotes the password.
type trouble struct {
	kind kind
	text string
	err  error
}

func (t *trouble) Error() string { return t.text }
func (t *trouble) Unwrap() error { return t.err }

// A kind groups troubles. Another try that meets the same kind is no news.
type kind int

const (
	fine kind = iota
	unreachable
	loading  // reads its dump
	readOnly // answers, but takes no writes: a replica, a full disk, a full memory
	busy     // answers, but serves nobody at present
	misused  // says that the configuration is wrong
	refused  // has something against one command
)

// waits reports whether the trouble may pass without anybody changing our configuration.
func (k kind) waits() bool { return k == unreachable || k == loading || k == readOnly || k == busy }

// errVersion says that the records are another version's.
var errVersion = errors.New("its records have another version")

// kindOf groups an error of the client's; nil is fine.
func kindOf(err error) kind {
	var known *trouble
	var reply redis.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil:
		return fine
	case errors.As(err, &known):
		return known.kind
	case errors.Is(err, errVersion), errors.As(err, &untrusted), isAlert(err):
		return misused
	case errors.As(err, &reply):
		return kindOfReply(reply.Error())
	default:
		return unreachable
	}
}

// isAlert reports whether the error is a TLS alert that Redis sent (crypto/tls, (*Conn).readRecordOrCCS).
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// kindOfReply groups what Redis replies. Redis below 7 has an error that a script met within its sentence.
func kindOfReply(reply string) kind {
	has := func(codes ...string) bool {
		for _, code := range codes {
			if strings.HasPrefix(reply, code) || strings.Contains(reply, " -"+code) {
				return true
			}
		}
		return false
	}
	switch {
	case has("LOADING "):
		return loading
	case has("READONLY ", "OOM ", "MISCONF ", "NOREPLICAS "):
		return readOnly
	case has("BUSY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "ERR max number of clients"):
		return busy
	case strings.Contains(reply, "unauthenticated"), has("NOAUTH ", "WRONGPASS ", "NOPERM ", "ERR invalid password", "ERR AUTH ", "ERR DB index", "ERR invalid DB", "ERR SELECT "):
		return misused
	default:
		return refused
	}
}

// explain says what is the matter with the Redis that the options lead to, where, and what to do. It returns nil for nil.
func explain(o *redis.Options, err error) error {
	var known *trouble
	if err == nil || errors.As(err, &known) {
		return err
	}
	what, advice := describe(o, err)
	text := fmt.Sprintf("Redis at %s %s: %v", o.Addr, what, err)
	if advice != "" {
		text += "; " + advice
	}
	if o.Password != "" { // a server that does not know a command quotes its arguments
		text = strings.ReplaceAll(text, o.Password, "***")
	}
	return &trouble{kind: kindOf(err), text: text, err: err}
}

// describe puts an error into "Redis at ... <what>: <err>; <advice>".
func describe(o *redis.Options, err error) (what, advice string) {
	var untrusted *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var reply redis.Error
	var network net.Error
	switch {
	case errors.Is(err, errVersion):
		return "belongs to another version of Vitrine", "this one knows version " + version + "; use the newer Vitrine, or another Redis database"
	case errors.As(err, &untrusted):
		return "has a certificate that is not trusted", "add its authority to the system's, or name that in SSL_CERT_FILE, and write the certificate's host into redis-url"
	case isAlert(err):
		return "ends the TLS connection", "where it asks clients for certificates, set its tls-auth-clients to no"
	case errors.As(err, &header):
		return "does not speak TLS", "begin redis-url with redis://, or give its TLS port"
	case errors.As(err, &reply):
		return describeReply(reply.Error())
	case errors.Is(err, context.Canceled):
		return "was not waited for", ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		advice = "look whether it is overloaded, and whether a firewall lies between"
		if o.TLSConfig != nil {
			advice += "; where it does not speak TLS, begin redis-url with redis://"
		}
		return fmt.Sprintf("does not answer within %v", patience), advice
	case o.TLSConfig == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), `\x15\x03`)): // the record of a TLS alert
		return "hangs up", "where it wants TLS, begin redis-url with rediss://"
	default:
		return "cannot be reached", "start it, or mend redis-url"
	}
}

// describeReply is describe for what Redis itself says.
func describeReply(reply string) (what, advice string) {
	has := func(code string) bool { return strings.Contains(reply, code) }
	switch {
	case has("NOAUTH "), has("unauthenticated"): // the latter to a command with many arguments
		return "asks for a password", "write it into redis-url: redis://user:password@host:port, without the user where it has none"
	case has("WRONGPASS "), has("ERR invalid password"), has("ERR AUTH "):
		return "refuses the user or the password of redis-url", "mend them"
	case has("NOPERM "):
		return "forbids the user of redis-url what the records need",
			"give it the keys frontend:*, dead:* and vitrine:*, the channels vitrine:changes and dead, and the commands on keys, scripts and channels"
	case has("ERR DB index"), has("ERR invalid DB"), has("ERR SELECT "):
		return "has no such database", "write a lower number at the end of redis-url, or raise databases in the configuration of Redis"
	case has("LOADING "):
		return "still reads its dump", ""
	case has("READONLY "):
		return "is a replica that takes no writes", "write its primary's address into redis-url"
	case has("OOM "):
		return "has no memory left", "raise its maxmemory"
	case has("MISCONF "):
		return "cannot save to its disk and takes no writes", "give it room there"
	default:
		return "refuses a command", ""
	}
}

package registry

import (
	"context"
	"io"
	"log/slog"
	"reflect"
	"strings"

	"github.com/sirupsen/logrus"
)

// The type of the key under which distribution looks for its logger in a context. It is internal to distribution, which offers no other way to a
// logger than the process-wide one of logrus.
const (
	loggerKeyPackage = "github.com/distribution/distribution/v3/internal/dcontext"
	loggerKeyName    = "loggerKey"
)

// loggerContext answers distribution's question for its logger.
type loggerContext struct {
	context.Context
	entry *logrus.Entry
}

// withLogger returns a context whose code in distribution logs to log.
func withLogger(ctx context.Context, log *slog.Logger) context.Context {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.InfoLevel)
	l.AddHook(slogHook{log})
	return loggerContext{Context: ctx, entry: logrus.NewEntry(l)}
}

// Value returns the logger for distribution's key.
func (c loggerContext) Value(key any) any {
	if t := reflect.TypeOf(key); t.Name() == loggerKeyName && t.PkgPath() == loggerKeyPackage {
		return c.entry
	}
	return c.Context.Value(key)
}

// slogHook passes logrus' entries on to slog.
type slogHook struct{ log *slog.Logger }

// Levels returns all levels.
func (slogHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire writes one entry. What distribution says of itself and of answered requests is of interest in debugging only. That goes for answers that
// something is not there as well, which it logs as errors: every push begins with asking for what the registry has already. And it goes for a push
// that was cancelled, with the deployment it was for.
func (h slogHook) Fire(e *logrus.Entry) error {
	level := slog.LevelError
	status, answered := e.Data["http.response.status"].(int)
	switch {
	case e.Level >= logrus.InfoLevel, answered && status < 500, disconnected(e):
		level = slog.LevelDebug
	case e.Level == logrus.WarnLevel:
		level = slog.LevelWarn
	}
	ctx := e.Context
	if ctx == nil {
		ctx = context.Background()
	}
	attributes := []slog.Attr{slog.String("part", "registry")}
	for _, key := range []string{"http.request.method", "http.request.uri", "http.response.status", "err.code", "err.message", "err.detail", "error"} {
		if v, ok := e.Data[key]; ok {
			attributes = append(attributes, slog.Any(key, v))
		}
	}
	h.log.LogAttrs(ctx, level, e.Message, attributes...)
	return nil
}

// disconnected reports whether an entry is about a client that went away while it sent something (distribution, registry/handlers/helpers.go).
func disconnected(e *logrus.Entry) bool {
	return strings.HasPrefix(e.Message, "client disconnected") || e.Data["err.detail"] == "client disconnected"
}

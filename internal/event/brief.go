package event

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxWords is how long one thing in a line of the log is at most, in bytes. Names of
// strangers, such as those of certificates, are as long as they like, and longer when they
// are quoted.
const maxWords = 1024

// briefCore writes lines none of whose words is longer than that, but what is an error of
// ours or of the files that there are.
type briefCore struct{ zapcore.Core }

// Brief returns a log of short lines.
func Brief(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return briefCore{c} }))
}

// With implements zapcore.Core.
func (c briefCore) With(fields []zap.Field) zapcore.Core {
	return briefCore{c.Core.With(fields)}
}

// Check implements zapcore.Core.
func (c briefCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c briefCore) Write(e zapcore.Entry, fields []zap.Field) error {
	if e.Level < zapcore.ErrorLevel {
		briefly(fields)
	}
	return c.Core.Write(e, fields)
}

// briefly cuts what is too long. The fields are those of one line, and are changed.
func briefly(fields []zap.Field) {
	for n, f := range fields {
		switch text, isError := f.Interface.(error); {
		case f.Type == zapcore.StringType && len(f.String) > maxWords:
			fields[n] = zap.String(f.Key, cut(f.String))
		case f.Type == zapcore.ErrorType && isError && len(text.Error()) > maxWords:
			fields[n] = zap.String(f.Key, cut(text.Error()))
		}
	}
}

// cut is the beginning of a text that is too long.
func cut(text string) string { return strings.ToValidUTF8(text[:maxWords], "") + "..." }

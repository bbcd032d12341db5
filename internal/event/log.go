package event

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Log is a Sink that writes one line an event.
type Log struct{ log *zap.Logger }

// NewLog returns a sink that writes to log, which must not wait.
func NewLog(log *zap.Logger) *Log { return &Log{log} }

// Take implements Sink.
func (l *Log) Take(t Told) {
	if e, ok := t.Event.(LoginRefused); ok && e.Quiet {
		return
	}
	levels := [...]zapcore.Level{Info: zapcore.InfoLevel, Warning: zapcore.WarnLevel, Error: zapcore.ErrorLevel}
	line := l.log.Check(levels[t.Severity], t.Name)
	if line == nil {
		return
	}
	said := t.Fields()
	fields := make([]zap.Field, 0, len(said))
	for _, f := range said {
		fields = append(fields, zap.Any(f.Name, f.Value))
	}
	line.Write(fields...)
}

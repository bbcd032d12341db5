package main

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/culvert-vpn/culvert/internal/config"
)

// newLog returns the log a configuration asks for.
func newLog(w io.Writer, c config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	return zap.New(zapcore.NewCore(newEncoder(c), zapcore.Lock(plainWriter{w}), level)), nil
}

// newServerLog is newLog for a server, which does not wait for whoever reads its log.
// What is still to be written is, with Sync.
func newServerLog(w io.Writer, c config.Log) (*zap.Logger, error) {
	return newLog(&logQueue{to: w, tell: func(lost uint64) []byte {
		entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "log-lines-lost"}
		b, err := newEncoder(c).EncodeEntry(entry, []zapcore.Field{zap.Uint64("lines", lost), zap.String("hint", "whoever reads the log is too slow")})
		if err != nil {
			return nil
		}
		return b.Bytes()
	}}, c)
}

func newEncoder(c config.Log) zapcore.Encoder {
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.MessageKey = "time", "event"
	e.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z07:00")
	e.EncodeDuration = zapcore.StringDurationEncoder
	if c.Format == "console" {
		e.EncodeLevel = zapcore.CapitalLevelEncoder
		e.EncodeTime = zapcore.TimeEncoderOfLayout(time.DateTime)
		return zapcore.NewConsoleEncoder(e)
	}
	return zapcore.NewJSONEncoder(e)
}

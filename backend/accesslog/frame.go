package accesslog

import (
	"strings"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

// frame takes a syslog message apart.
type frame struct {
	machine syslog.Machine
	base    func(syslog.Message) *syslog.Base
}

// newBSD is for what HAProxy sends where nothing else is configured; it names no host unless log-send-hostname is set.
func newBSD() frame {
	return frame{rfc3164.NewParser(), func(m syslog.Message) *syslog.Base {
		if message, ok := m.(*rfc3164.SyslogMessage); ok {
			return &message.Base
		}
		return nil
	}}
}

// newIETF is for "log ... format rfc5424".
func newIETF() frame {
	return frame{rfc5424.NewParser(), func(m syslog.Message) *syslog.Base {
		if message, ok := m.(*rfc5424.SyslogMessage); ok {
			return &message.Base
		}
		return nil
	}}
}

// parse returns the host, if one is named, and the message; ok is false if it is no such frame or has no message.
func (f frame) parse(datagram []byte) (host, text string, ok bool) {
	message, err := f.machine.Parse(datagram)
	if err != nil || message == nil {
		return "", "", false
	}
	base := f.base(message)
	if base == nil || base.Message == nil {
		return "", "", false
	}
	if base.Hostname != nil {
		host = *base.Hostname
	}
	return host, strings.TrimRight(*base.Message, "\r\n\x00"), true
}

package dataplanetest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// raw reads and writes the whole of haproxy.cfg. All of /v3's answers are said to be text, those in JSON too.
func (s *Server) raw(w http.ResponseWriter, c call) {
	if c.v3 {
		defer w.Header().Set("Content-Type", "text/plain")
	}
	switch c.method {
	case http.MethodGet:
		s.answerText(w, c, http.StatusOK)
	case http.MethodPost:
		s.postRaw(w, c)
	default:
		notAllowed(w, c)
	}
}

func (s *Server) postRaw(w http.ResponseWriter, c call) {
	text := string(c.body)
	wrong := ""
	if s.config.refuseText != nil {
		wrong = s.config.refuseText(text)
	}
	validate := c.query.Get("only_validate") == "true"
	switch {
	case !strings.Contains(text, "\n"):
		problem(w, http.StatusBadRequest, "invalid configuration: no newline character found")
		return
	case validate && wrong != "" && !c.v3:
		problem(w, http.StatusBadRequest, "validation error: exit status 1") // /v2 keeps HAProxy's words to itself
		return
	case validate && wrong != "":
		problem(w, http.StatusBadRequest, "validation error: exit status 1: msg=\""+wrong+"\"")
		return
	case validate:
		s.answerText(w, c, http.StatusAccepted)
		return
	case c.query.Get("version") == "":
		problem(w, http.StatusBadRequest, "version or transaction not specified: version or transaction not specified, specify only one")
		return
	case s.config.stale(w, c.query.Get("version")):
		return
	case wrong != "":
		problem(w, http.StatusBadRequest, "validation error: exit status 1: err transactionId=f2de0852 \nmsg=\""+wrong+"\"")
		return
	}
	if c.half {
		text = text[:strings.LastIndex(text[:len(text)/2+1], "\n")+1]
	}
	s.config.adopt(text)
	if !s.take(w, c) {
		return
	}
	if w.Header().Get("Reload-Id") != "" {
		s.answerText(w, c, http.StatusAccepted)
		return
	}
	s.answerText(w, c, http.StatusCreated)
}

// answerText answers the text on the disk, as JSON in /v2 and bare in /v3.
func (s *Server) answerText(w http.ResponseWriter, c call, status int) {
	text := fmt.Sprintf("# _md5hash=0123456789abcdef0123456789abcdef\n# _version=%d\n\n%s", s.config.version, s.config.file)
	switch {
	case c.v3:
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	case status == http.StatusOK:
		s.configured(w, c, text)
	default:
		answerJSON(w, status, text)
	}
}

func (s *Server) listBackends(w http.ResponseWriter, c call) {
	if c.method != http.MethodGet || c.name != "" {
		notAllowed(w, c)
		return
	}
	rows := []any{}
	for _, name := range s.config.names() {
		rows = append(rows, map[string]any{"name": name, "from": "unnamed_defaults_1"})
	}
	s.configured(w, c, rows)
}

// names are the backends in the order of the text.
func (c *configuration) names() []string {
	var names []string
	for line := range strings.Lines(c.text) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "backend" {
			names = append(names, words[1])
		}
	}
	return names
}

// adopt makes a text the memory's: laid out as the real one does, so that what it laid out before stays as it is.
func (c *configuration) adopt(text string) {
	old := c.backends
	c.backends = map[string][]definition{}
	var laid strings.Builder
	backend := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		section := len(words) > 0 && line[0] != ' ' && line[0] != '\t'
		switch {
		case len(words) == 0:
			continue
		case section && laid.Len() > 0:
			laid.WriteString("\n")
		case !section:
			laid.WriteString("  ")
		}
		laid.WriteString(strings.Join(words, " ") + "\n")
		if section {
			backend = ""
			if words[0] == "backend" && len(words) > 1 {
				backend = words[1]
				c.backends[backend] = []definition{}
			}
		} else if backend != "" && words[0] == "server" && len(words) > 2 {
			c.backends[backend] = append(c.backends[backend], asDefinition(words, old[backend]))
		}
	}
	c.text = laid.String()
}

// asDefinition reads a line "server NAME ADDRESS:PORT ...", and keeps all that is known of a server that stays.
func asDefinition(words []string, old []definition) definition {
	i := strings.LastIndexByte(words[2], ':')
	d := definition{"name": words[1], "address": words[2][:max(i, 0)]}
	if number, err := strconv.Atoi(words[2][i+1:]); err == nil {
		d["port"] = number
	}
	for _, known := range old {
		if known.name() == d.name() && known.address() == d.address() && known.port() == d.port() {
			return known
		}
	}
	return d
}

// layOut writes the servers of the memory into its text.
func (c *configuration) layOut() {
	var laid strings.Builder
	var left []definition
	flush := func() {
		for _, d := range left {
			fmt.Fprintf(&laid, "  server %s %s:%d\n", d.name(), d.address(), d.port())
		}
		left = nil
	}
	backend := ""
	for line := range strings.Lines(c.text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			flush() // the section ends
		}
		if len(words) == 2 && words[0] == "backend" {
			backend = words[1]
			left = slices.Clone(c.backends[backend])
		}
		if len(words) > 2 && words[0] == "server" {
			i := slices.IndexFunc(left, func(d definition) bool { return d.name() == words[1] })
			if i < 0 {
				continue // it is gone
			}
			left = slices.Delete(left, i, i+1)
		}
		laid.WriteString(line)
	}
	flush()
	c.text = laid.String()
}

package haproxycfg

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// Names of our sections. No pool's backend may have one of them.
const (
	frontendName = "fe_haproxyaccess"
	deniedName   = "be_haproxyaccess_denied"
	sessionsName = "st_haproxyaccess_sessions"
	// signaturesName is there with a signature cache alone.
	signaturesName = "st_haproxyaccess_signatures"
)

// FrontendName is the frontend that checks every request.
const FrontendName = frontendName

// SessionsTable is the stick table with a row "<subject>|<environment>/<pool>|<address>:<port>" for each client
// connection; it is in use while a stream of it lives.
const SessionsTable = sessionsName

const (
	logStdout      = "stdout"
	logUnix        = "unix:"
	defaultMaxConn = 4000
)

//go:embed templates/enforcement.cfg.tmpl
var enforcementText string

//go:embed templates/standalone.cfg.tmpl
var standaloneText string

var (
	functions           = template.FuncMap{"q": quote}
	enforcementTemplate = template.Must(template.New("enforcement").Funcs(functions).Option("missingkey=error").Parse(enforcementText))
	standaloneTemplate  = template.Must(template.New("standalone").Funcs(functions).Option("missingkey=error").Parse(standaloneText))
)

// Files are all that HAProxy needs of us. The maps of files are by file name.
type Files struct {
	// Enforcement is the part that stands beside other sections in a haproxy.cfg.
	Enforcement []byte
	// Standalone is a complete haproxy.cfg with Enforcement in it; nil if Input.Standalone is.
	Standalone []byte
	// Maps belong in MapsDir. Grants and leases are empty: nothing is admitted until the reconciler has written them.
	Maps map[string][]byte
	// Keys belong in KeysDir, Pages in PagesDir.
	Keys, Pages map[string][]byte
}

// Render makes the files. The same input gives the same bytes. It checks the input as FromConfig does, and that every
// key is there; the error joins all problems.
func Render(in Input) (Files, error) {
	problems := in.problems()
	keys, keyProblems := in.keyFiles()
	if problems = append(problems, keyProblems...); len(problems) > 0 {
		return Files{}, fmt.Errorf("check haproxy configuration: %w", errors.Join(problems...))
	}
	files := Files{Keys: keys, Maps: in.mapFiles()}
	var err error
	if files.Pages, err = pages(in.ClutchURL); err != nil {
		return Files{}, err
	}
	if files.Enforcement, err = execute(enforcementTemplate, in.view()); err != nil {
		return Files{}, err
	}
	if in.Standalone != nil {
		if files.Standalone, err = execute(standaloneTemplate, in.standaloneView(files.Enforcement)); err != nil {
			return Files{}, err
		}
	}
	return files, nil
}

func execute(t *template.Template, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("render %s: %w", t.Name(), err)
	}
	return b.Bytes(), nil
}

// quote makes one word of haproxy.cfg out of a value. Nothing is read between single quotes; check has let no control
// character through, and a line could not be quoted anyway.
func quote(s string) (string, error) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return "", fmt.Errorf("quote value: control character at %d", i)
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

// keyFiles are the keys by file name. Every key that a token may name must be there with its text.
func (in Input) keyFiles() (map[string][]byte, []error) {
	var problems []error
	files, have := map[string][]byte{}, map[string]bool{}
	for i, key := range in.Keys {
		have[key.issuer()], have[key.issuer()+"|"+key.KID] = true, true
		if len(key.PEM) == 0 {
			problems = append(problems, fmt.Errorf("keys[%d]: the key's text is missing", i))
			continue
		}
		if text, err := key.normalPEM(); err == nil { // checkKeys reports the error
			files[key.fileName()] = text
		}
	}
	if !have[OurIssuer] {
		problems = append(problems, errors.New("keys: there is no key of our own tokens"))
	}
	for i, provider := range in.IdentityProviders {
		for j, kid := range provider.KIDs {
			if !have[provider.Name+"|"+kid] {
				problems = append(problems, fmt.Errorf("enforcement.identity_providers[%d].keys[%d]: the public key is missing", i, j))
			}
		}
	}
	return files, problems
}

func (in Input) mapFiles() map[string][]byte {
	state := in.Tables()
	state[desired.Grants], state[desired.Leases] = desired.Table{}, desired.Table{}
	files := map[string][]byte{}
	for name, table := range state {
		files[string(name)] = table.Text()
	}
	return files
}

// view is what the enforcement template sees. Whatever stands in it unquoted has passed a pattern of check.
type view struct {
	Input
	Frontend, Denied                   string
	Sessions, Signatures               string
	HardStop                           string
	Hosts, Pools, KIDs, Grants, Leases string
	Hygiene                            string
	KeyPaths                           []string
	// Unseen is the condition of the checks that a signature cache saves; there is none without one.
	Unseen                   string
	OurIssuerName, Undecided string
	Reasons                  []Reason
	RequestURL, JSON, CSP    string
	Statuses                 []statusView
}

type statusView struct {
	Status int
	Page   string
	Codes  []string
}

func (in Input) view() view {
	mapPath := func(name desired.Map) string { return in.MapsDir + "/" + string(name) }
	v := view{
		Input: in, Frontend: frontendName, Denied: deniedName, Sessions: sessionsName, Signatures: signaturesName,
		HardStop: seconds(in),
		Hosts:    mapPath(desired.Hosts), Pools: mapPath(desired.Pools), KIDs: mapPath(desired.KIDs),
		Grants: mapPath(desired.Grants), Leases: mapPath(desired.Leases),
		Hygiene: hygiene(), OurIssuerName: OurIssuer, Undecided: undecided, Reasons: reasons, CSP: literal(contentPolicy()),
		RequestURL: literal(in.ClutchURL) + "/haproxy-access/request?environment=%[var(txn.env)]&pool=%[var(txn.short)]",
		JSON:       `{"error":"%[var(txn.why)]","pool":"%[var(txn.pool)]","request_url":"%[var(txn.request_url)]","request_id":"%[unique-id]"}`,
	}
	for _, key := range in.Keys {
		v.KeyPaths = append(v.KeyPaths, in.keyPath(key))
	}
	slices.Sort(v.KeyPaths)
	if in.SignatureCache {
		v.Unseen = "!seen "
	}
	for status := range titles {
		s := statusView{Status: status, Page: in.PagesDir + "/" + pageFile(status)}
		for _, reason := range reasons {
			if reason.Status == status {
				s.Codes = append(s.Codes, reason.Code)
			}
		}
		v.Statuses = append(v.Statuses, s)
	}
	slices.SortFunc(v.Statuses, func(a, b statusView) int { return a.Status - b.Status })
	return v
}

func seconds(in Input) string { return strconv.Itoa(int(in.HardStopAfter.Seconds())) + "s" }

type standaloneView struct {
	Log         string
	LogRaw      bool
	StatsSocket string
	MaxConn     uint32
	HardStop    string
	Enforcement string
	Backends    []backendView
}

type backendView struct {
	Pool, Name string
	Servers    []serverView
}

type serverView struct{ Name, Address string }

func (in Input) standaloneView(enforcement []byte) standaloneView {
	v := standaloneView{
		Log: strings.Replace(in.Standalone.Log, logUnix, "unix@", 1), LogRaw: in.Standalone.Log == logStdout, StatsSocket: in.Standalone.StatsSocket,
		MaxConn: in.Standalone.MaxConn, HardStop: seconds(in), Enforcement: string(enforcement),
	}
	if v.MaxConn == 0 {
		v.MaxConn = defaultMaxConn
	}
	for _, environment := range in.Environments {
		for _, pool := range environment.Pools {
			b := backendView{Pool: environment.Name + "/" + pool.Name, Name: pool.Backend}
			for _, s := range pool.Servers {
				address := net.JoinHostPort(s.Address, strconv.FormatUint(uint64(s.Port), 10))
				b.Servers = append(b.Servers, serverView{s.Name, address})
			}
			v.Backends = append(v.Backends, b)
		}
	}
	return v
}

package archtest

// A pattern is a folder, or "folder/..." for the folder and all below, as for the go command. Of several that match, the
// longest counts.

const (
	anything  = "..."
	generated = "backend/api/..."
)

// core are the packages of the domain, which know nothing of Clutch.
var core = []string{
	"backend/access", "backend/accesslog", "backend/audit", "backend/credential", "backend/desired", "backend/grant", "backend/policy",
	"backend/policy/policyfile", "backend/reconcile", "backend/store", "backend/store/postgres", "backend/store/sqlite",
}

// mayImport lists for each package what of this project its code may import, tests aside. What is absent is forbidden,
// and so is a package without a row.
var mayImport = map[string][]string{
	"backend/grant":             {},
	"backend/policy":            {"backend/grant"},
	"backend/policy/policyfile": {},
	"backend/desired":           {"backend/grant"},
	"backend/store":             {"backend/grant"},
	"backend/store/...":         {"backend/store", "backend/store/batch", "backend/store/sqlstore", "backend/grant"},
	"backend/access":            {"backend/grant", "backend/policy", "backend/store"},
	"backend/reconcile":         {"backend/desired", "backend/grant"},
	"backend/credential":        {"backend/grant", "backend/store", "backend/internal/secretfile"},
	"backend/audit":             {"backend/store", "backend/grant"},
	"backend/accesslog":         {"backend/grant"},

	"backend/service/...":                             append([]string{"backend/service/...", "backend/grantproto", generated}, core...),
	"backend/service/authn/authntest":                 {},
	"backend/service/haproxy/haproxycfg":              {"backend/desired", generated},
	"backend/service/haproxy/runtimeapi":              {"backend/desired", "backend/service/haproxy/haproxycfg"},
	"backend/service/haproxy/discovery":               {},
	"backend/service/haproxy/nodeconfig":              {},
	"backend/service/haproxy/dataplane":               {"backend/internal/secretfile"},
	"backend/service/haproxy/dataplane/dataplanetest": {"backend/service/haproxy/dataplane"},
	"backend/grantproto":                              {"backend/grant", "backend/store", generated},
	"backend/module/haproxyaccess":                    {"backend/access", "backend/grant", "backend/grantproto", "backend/policy", generated},
	"backend/middleware/...":                          {generated},
	"backend/plugin":                                  {anything},
	"backend":                                         {anything},

	"backend/store/storetest": {"backend/store", "backend/grant"},

	"backend/internal/archtest":   {},
	"backend/internal/secretfile": {},
	generated:                     {generated},
	"frontend/host":               {},
	"internal/...":                {"internal/..."},
	"tools/...":                   {anything},
	"test/...":                    {anything},
}

// outside are the folders that nothing below backend/ may import, whatever its row says: a product that needs its tools
// or tests cannot be installed in another gateway.
var outside = []string{"internal/...", "tools/...", "test/..."}

// gatewayCode is where Clutch and generated code may be known.
var gatewayCode = []string{
	"backend", "backend/plugin", "backend/module/...", "backend/service/...", "backend/middleware/...", "backend/grantproto",
	generated,
}

// A restriction keeps an import path, and what lies below it, to some packages.
type restriction struct {
	path      string
	except    string // below path and free of this restriction
	packages  []string
	tests     bool     // tests are held to it too
	testsOnly []string // packages whose tests may, beside packages
}

const clutch = "github.com/lyft/clutch"

var restrictions = []restriction{
	{path: clutch, except: clutch + "/backend/api", packages: gatewayCode},
	{path: clutch + "/backend/api", packages: append([]string{"tools/..."}, gatewayCode...)},
	{path: module + "/backend/api", packages: append([]string{"tools/..."}, gatewayCode...)},
	{path: "database/sql", packages: []string{"backend/store/...", "tools/internal/gatewaystore", "tools/migrate"}, tests: true},
	{
		path: "github.com/miekg/dns", tests: true, testsOnly: []string{"test/lab"},
		packages: []string{"backend/service/haproxy/discovery"},
	},
	{path: "github.com/Shopify/toxiproxy", packages: []string{"internal/faultproxy"}, tests: true},
	{
		path: "github.com/haproxytech/client-native", tests: true, testsOnly: []string{"test/..."},
		packages: []string{"backend/service/haproxy/dataplane/...", "tools/dataplane/..."},
	},
}

// standardOnly are the packages that import the standard library alone, of others' code too.
var standardOnly = []string{"backend/grant", "backend/internal/secretfile", "backend/policy/policyfile"}

// clockReaders are the packages whose code may read the clock. The domain takes the time as an argument.
var clockReaders = []string{
	"backend/service/audit",
	"backend/service/authn",
	"backend/service/authn/authntest",
	"backend/service/haproxy/dataplane",
	"backend/service/haproxy/dataplane/dataplanetest",
	"backend/service/haproxyaccess",
	"backend/store/postgres", // how long sessions are silent: the election is a loop of its own
	"internal/world",
	"test/stage",
	"tools/dataplane/server",
	"tools/demo",
	"tools/devidp/provider",
	"tools/keys",
	"tools/policy",
}

const (
	maxLines   = 600
	maxMethods = 7
)

// emptyNames say nothing of what a package is for.
var emptyNames = []string{"common", "helpers", "models", "types", "util"}

// wellKnown are methods that the standard library's interfaces describe; they need no comment of their own.
var wellKnown = []string{"Error", "Unwrap", "String", "ServeHTTP", "Read", "Write", "Len", "Less", "Swap"}

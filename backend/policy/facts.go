package policy

import (
	"errors"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Bounds of the facts. The cost of a condition is estimated for facts as large as these, so a request with larger ones is
// refused.
const (
	maxGroups = 1000
	maxTags   = 100
	maxTag    = 128
	maxInputs = 20
	maxAnswer = 1000 // bytes of a reason, or of the answer to one input
)

// errMissing is what a condition meets that reads a fact which nobody knows.
var errMissing = errors.New("the fact is not known")

// facts are the variables of conditions, of one request. CEL reads them through fields below, straight from here.
type facts struct {
	subject, kind, owner     types.String
	groups, ownerGroups      ref.Val // ownerGroups is nil if not known
	pool, environment, name  types.String
	tags                     ref.Val
	duration, total          types.Duration
	reason                   types.String
	breakGlass, extension    types.Bool
	start, now               types.Timestamp
	inputs                   ref.Val
	hasOwner, hasOwnerGroups bool
}

// begins is when the access would begin that is asked for.
func (r *Request) begins() time.Time {
	if r.StartsAt.After(r.At) {
		return r.StartsAt
	}
	return r.At
}

// bounded reports whether the facts are not larger than what costs are estimated for.
func (r *Request) bounded() bool {
	short := func(list []string, most, length int) bool {
		if len(list) > most {
			return false
		}
		for _, s := range list {
			if len(s) > length {
				return false
			}
		}
		return true
	}
	return len(r.Subject) <= grant.MaxSubject && len(r.Owner) <= grant.MaxSubject && len(r.Reason) <= maxAnswer &&
		len(r.Pool.Environment) <= 31 && len(r.Pool.Name) <= 63 &&
		short(r.Groups, maxGroups, maxGroup) && short(r.OwnerGroups, maxGroups, maxGroup) && short(r.Tags, maxTags, maxTag)
}

func newFacts(r *Request) *facts {
	return &facts{
		subject: types.String(r.Subject), kind: types.String(kindOf(r.Subject)), groups: stringList(r.Groups),
		owner: types.String(r.Owner), hasOwner: r.Owner != "",
		ownerGroups: stringList(r.OwnerGroups), hasOwnerGroups: r.Owner != "" && r.OwnerGroups != nil,
		pool: types.String(r.Pool.String()), environment: types.String(r.Pool.Environment), name: types.String(r.Pool.Name),
		tags:   stringList(r.Tags),
		reason: types.String(r.Reason), breakGlass: types.Bool(r.BreakGlass), extension: types.Bool(r.Extension),
		start: types.Timestamp{Time: r.begins().UTC()}, now: types.Timestamp{Time: r.At.UTC()},
		inputs: noInputs,
	}
}

func kindOf(s grant.Subject) string {
	switch {
	case s.IsAgent():
		return "agent"
	case s.IsService():
		return "service"
	default:
		return "person"
	}
}

func stringList(list []string) ref.Val { return types.NewStringList(types.DefaultTypeAdapter, list) }

var noInputs = types.NewStringStringMap(types.DefaultTypeAdapter, map[string]string{})

// ResolveName implements cel.Activation.
func (f *facts) ResolveName(name string) (any, bool) {
	switch name {
	case "subject", "owner", "pool", "request":
		return f, true // the fields below know which is whose
	case "inputs":
		return f.inputs, true
	case "now":
		return f.now, true
	default:
		return nil, false
	}
}

// Parent implements cel.Activation.
func (f *facts) Parent() cel.Activation { return nil }

// The types of the variables with fields. The names cannot be written in an expression.
const (
	subjectType = "access@subject"
	ownerType   = "access@owner"
	poolType    = "access@pool"
	requestType = "access@request"
)

// field is one fact: its type, how to read it, and whether it is known (nil: always).
type field struct {
	kind  *cel.Type
	get   func(*facts) ref.Val
	known func(*facts) bool
}

var listOfStrings = cel.ListType(cel.StringType)

var objects = map[string]map[string]field{
	subjectType: {
		"name":   {cel.StringType, func(f *facts) ref.Val { return f.subject }, nil},
		"kind":   {cel.StringType, func(f *facts) ref.Val { return f.kind }, nil},
		"groups": {listOfStrings, func(f *facts) ref.Val { return f.groups }, nil},
	},
	ownerType: {
		"name":   {cel.StringType, func(f *facts) ref.Val { return f.owner }, func(f *facts) bool { return f.hasOwner }},
		"groups": {listOfStrings, func(f *facts) ref.Val { return f.ownerGroups }, func(f *facts) bool { return f.hasOwnerGroups }},
	},
	poolType: {
		"name":        {cel.StringType, func(f *facts) ref.Val { return f.pool }, nil},
		"environment": {cel.StringType, func(f *facts) ref.Val { return f.environment }, nil},
		"pool":        {cel.StringType, func(f *facts) ref.Val { return f.name }, nil},
		"tags":        {listOfStrings, func(f *facts) ref.Val { return f.tags }, nil},
	},
	requestType: {
		"duration":    {cel.DurationType, func(f *facts) ref.Val { return f.duration }, nil},
		"total":       {cel.DurationType, func(f *facts) ref.Val { return f.total }, nil},
		"reason":      {cel.StringType, func(f *facts) ref.Val { return f.reason }, nil},
		"break_glass": {cel.BoolType, func(f *facts) ref.Val { return f.breakGlass }, nil},
		"extension":   {cel.BoolType, func(f *facts) ref.Val { return f.extension }, nil},
		"start":       {cel.TimestampType, func(f *facts) ref.Val { return f.start }, nil},
	},
}

var variables = []cel.EnvOption{
	cel.Variable("subject", cel.ObjectType(subjectType)),
	cel.Variable("owner", cel.ObjectType(ownerType)),
	cel.Variable("pool", cel.ObjectType(poolType)),
	cel.Variable("request", cel.ObjectType(requestType)),
	cel.Variable("inputs", cel.MapType(cel.StringType, cel.StringType)),
	cel.Variable("now", cel.TimestampType),
}

// provider adds the objects to CEL's own types.
type provider struct{ *types.Registry }

// FindStructType implements types.Provider.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ours := objects[name]; ours {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	object, ours := objects[name]
	if !ours {
		return p.Registry.FindStructFieldNames(name)
	}
	var names []string
	for name := range object {
		names = append(names, name)
	}
	return names, true
}

// FindStructFieldType implements types.Provider.
func (p provider) FindStructFieldType(object, name string) (*types.FieldType, bool) {
	ours, ok := objects[object]
	if !ok {
		return p.Registry.FindStructFieldType(object, name)
	}
	fact, ok := ours[name]
	if !ok {
		return nil, false
	}
	known := func(target any) bool {
		f, ok := target.(*facts)
		return ok && (fact.known == nil || fact.known(f))
	}
	return &types.FieldType{
		Type:  fact.kind,
		IsSet: known,
		GetFrom: func(target any) (any, error) {
			if !known(target) {
				return nil, errMissing
			}
			return fact.get(target.(*facts)), nil
		},
	}, true
}

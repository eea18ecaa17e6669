package policy

import (
	"fmt"
	"regexp"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// functions are what a condition may call: what neither makes texts longer than its arguments (but for +, which counts),
// nor hides what it does from the estimate of its cost.
var functions = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true, operators.Conditional: true,
	operators.Equals: true, operators.NotEquals: true, operators.Less: true, operators.LessEquals: true,
	operators.Greater: true, operators.GreaterEquals: true, operators.In: true, operators.Index: true,
	operators.Add: true, operators.Subtract: true, operators.Multiply: true, operators.Divide: true,
	operators.Modulo: true, operators.Negate: true, operators.NotStrictlyFalse: true,
	"size": true, "startsWith": true, "endsWith": true, "contains": true, "matches": true,
	"int": true, "double": true, "string": true, "bool": true, "duration": true, "timestamp": true,
	"lowerAscii": true, "upperAscii": true, "trim": true, "charAt": true, "indexOf": true, "lastIndexOf": true, "substring": true,
}

// clocks are the functions that take a time apart, of a timestamp by the wall clock of a zone.
var clocks = map[string]struct {
	overload string
	read     func(time.Time) int
}{
	overloads.TimeGetFullYear:     {overloads.TimestampToYearWithTz, time.Time.Year},
	overloads.TimeGetMonth:        {overloads.TimestampToMonthWithTz, func(t time.Time) int { return int(t.Month()) - 1 }},
	overloads.TimeGetDayOfYear:    {overloads.TimestampToDayOfYearWithTz, func(t time.Time) int { return t.YearDay() - 1 }},
	overloads.TimeGetDayOfMonth:   {overloads.TimestampToDayOfMonthZeroBasedWithTz, func(t time.Time) int { return t.Day() - 1 }},
	overloads.TimeGetDate:         {overloads.TimestampToDayOfMonthOneBasedWithTz, time.Time.Day},
	overloads.TimeGetDayOfWeek:    {overloads.TimestampToDayOfWeekWithTz, func(t time.Time) int { return int(t.Weekday()) }},
	overloads.TimeGetHours:        {overloads.TimestampToHoursWithTz, time.Time.Hour},
	overloads.TimeGetMinutes:      {overloads.TimestampToMinutesWithTz, time.Time.Minute},
	overloads.TimeGetSeconds:      {overloads.TimestampToSecondsWithTz, time.Time.Second},
	overloads.TimeGetMilliseconds: {overloads.TimestampToMillisecondsWithTz, func(t time.Time) int { return t.Nanosecond() / 1e6 }},
}

var offsetPattern = regexp.MustCompile(`\A[+-]?[0-9]{2}:[0-9]{2}\z`)

// zones loads the zone of each such call when the condition is compiled: CEL would do so at each evaluation, which is
// dearer than all the rest.
func zones() []*interpreter.RegexOptimization {
	var all []*interpreter.RegexOptimization
	for function, clock := range clocks {
		all = append(all, &interpreter.RegexOptimization{
			Function: function, OverloadID: clock.overload, RegexIndex: 1,
			Factory: func(call interpreter.InterpretableCall, zone string) (interpreter.InterpretableCall, error) {
				if offsetPattern.MatchString(zone) {
					return call, nil // CEL reads it without a look into the database
				}
				l, ok := location(zone)
				if !ok {
					return nil, fmt.Errorf("there is no time zone %q", clip(zone))
				}
				return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
					at, ok := args[0].(types.Timestamp)
					if !ok {
						return types.MaybeNoSuchOverloadErr(args[0])
					}
					return types.Int(clock.read(at.In(l)))
				}), nil
			},
		})
	}
	return all
}

// vet holds what type checks and costs do not: that the functions are known ones, that patterns and zones are written
// down, and that an object is read by its fields. It returns the first problem and where it is.
func vet(tree *ast.AST) (position, string) {
	var at position
	var problem string
	ast.PreOrderVisit(ast.NavigateAST(tree), ast.NewExprVisitor(func(e ast.Expr) {
		if problem != "" {
			return
		}
		if problem = vetOne(tree, e.(ast.NavigableExpr)); problem != "" {
			l := tree.SourceInfo().GetStartLocation(e.ID())
			at = position{l.Line(), l.Column() + 1}
		}
	}))
	return at, problem
}

func vetOne(tree *ast.AST, e ast.NavigableExpr) string {
	switch e.Kind() {
	case ast.CallKind:
		return vetCall(e.AsCall())
	case ast.MapKind, ast.StructKind, ast.UnspecifiedExprKind:
		return "maps and messages are not allowed"
	case ast.IdentKind:
		parent, ok := e.Parent()
		if _, object := objects[tree.GetType(e.ID()).TypeName()]; object && (!ok || parent.Kind() != ast.SelectKind) {
			return fmt.Sprintf("name a field of %s", e.AsIdent())
		}
	}
	return ""
}

func vetCall(call ast.CallExpr) string {
	name := call.FunctionName()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	_, clock := clocks[name]
	switch {
	case !functions[name] && !clock:
		return fmt.Sprintf("the function %s is not allowed", clip(name))
	case name == "matches" && !literal(args, 1):
		return "a regular expression is written down, not put together"
	case clock && len(args) == 2 && !literal(args, 1):
		return "a time zone is written down, not put together"
	}
	return ""
}

func literal(args []ast.Expr, i int) bool { return i < len(args) && args[i].Kind() == ast.LiteralKind }

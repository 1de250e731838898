// Prints the test tables of the API server's CEL libraries as JSON: of every composite literal that has an `expr`, the expression and what is
// expected of it. A value is printed as a CEL expression that gives it. Nothing of the tables is run; rows that are made by a loop are left out, and
// what cannot be read otherwise is an error.
//
//	tables FOLDER    FOLDER: pkg/cel/library of the Go module k8s.io/apiserver
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Case is a row of a table.
type Case struct {
	Name         string `json:"name"`
	Expr         string `json:"expr"`
	Value        string `json:"value,omitempty"`
	CompileError bool   `json:"compileError,omitempty"`
	RuntimeError bool   `json:"runtimeError,omitempty"`
}

// The names that the tables give to their columns.
var (
	valueColumns        = []string{"expectValue", "expectResult"}
	compileErrorColumns = []string{"expectedCompileErr", "expectCompileErrs"}
	runtimeErrorColumns = []string{"expectedRuntimeErr", "expectRuntimeErr"}
)

func main() {
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*_test.go"))
	check(err)
	sort.Strings(files)
	var cases []Case
	for _, file := range files {
		// Its rows expect costs, not values.
		if filepath.Base(file) == "cost_test.go" {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		check(err)
		for _, declaration := range tree.Decls {
			if test, ok := declaration.(*ast.FuncDecl); ok && strings.HasPrefix(test.Name.Name, "Test") {
				reader := reader{prefix: filepath.Base(file) + "/" + test.Name.Name, variables: variables(test)}
				cases = append(cases, reader.cases(test)...)
			}
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(cases))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// reader reads the tables of one test.
type reader struct {
	prefix    string
	variables map[string]ast.Expr
}

// variables are the local variables of a test, each with the expression that it is set from.
func variables(test *ast.FuncDecl) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	ast.Inspect(test, func(node ast.Node) bool {
		if set, ok := node.(*ast.AssignStmt); ok {
			if name, ok := set.Lhs[0].(*ast.Ident); ok && len(set.Rhs) == 1 {
				found[name.Name] = set.Rhs[0]
			}
		}
		return true
	})
	return found
}

func (r reader) cases(test *ast.FuncDecl) []Case {
	var found []Case
	ast.Inspect(test, func(node ast.Node) bool {
		row, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		columns := columns(row)
		expr, ok := columns["expr"]
		if !ok {
			return true
		}
		// A row that the test makes in a loop is made again by whoever reads this.
		if _, ok := expr.(*ast.CallExpr); ok {
			return false
		}
		one := Case{Expr: text(expr)}
		one.Name = r.prefix + "/" + one.Expr
		if name, ok := columns["name"]; ok {
			one.Name = r.prefix + "/" + text(name)
		}
		if value := first(columns, valueColumns); value != nil {
			one.Value = r.value(value)
		}
		one.CompileError = first(columns, compileErrorColumns) != nil
		one.RuntimeError = first(columns, runtimeErrorColumns) != nil
		if one.Value == "" && !one.CompileError && !one.RuntimeError {
			check(fmt.Errorf("%s expects nothing", one.Name))
		}
		found = append(found, one)
		return false
	})
	return found
}

func columns(row *ast.CompositeLit) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	for _, element := range row.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				found[key.Name] = pair.Value
			}
		}
	}
	return found
}

func first(columns map[string]ast.Expr, names []string) ast.Expr {
	for _, name := range names {
		if column, ok := columns[name]; ok {
			return column
		}
	}
	return nil
}

// text is the value of a string literal.
func text(expr ast.Expr) string {
	if sum, ok := expr.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		return text(sum.X) + text(sum.Y)
	}
	literal, ok := expr.(*ast.BasicLit)
	if !ok {
		check(fmt.Errorf("not a text: %T", expr))
	}
	value, err := strconv.Unquote(literal.Value)
	check(err)
	return value
}

// value is a Go expression of the tables as CEL.
func (r reader) value(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.Ident:
		if known, ok := map[string]string{"trueVal": "true", "falseVal": "false"}[expr.Name]; ok {
			return known
		}
		if set, ok := r.variables[expr.Name]; ok {
			return r.value(set)
		}
	case *ast.SelectorExpr:
		known := map[string]string{"True": "true", "False": "false", "OptionalNone": "optional.none()"}
		if value, ok := known[expr.Sel.Name]; ok {
			return value
		}
	case *ast.BasicLit:
		if expr.Kind == token.STRING {
			return strconv.Quote(text(expr))
		}
		return expr.Value
	case *ast.UnaryExpr:
		if expr.Op == token.AND {
			return r.value(expr.X)
		}
		return expr.Op.String() + r.value(expr.X)
	case *ast.CompositeLit:
		if _, ok := expr.Type.(*ast.ArrayType); ok {
			var items []string
			for _, item := range expr.Elts {
				items = append(items, r.value(item))
			}
			return "[" + strings.Join(items, ", ") + "]"
		}
		// The types of the API server hold one Go value each.
		return r.value(expr.Elts[0].(*ast.KeyValueExpr).Value)
	case *ast.CallExpr:
		return r.call(expr)
	}
	check(fmt.Errorf("%s: a value that cannot be read: %T", r.prefix, expr))
	return ""
}

func (r reader) call(call *ast.CallExpr) string {
	name := call.Fun.(*ast.SelectorExpr)
	argument := func(at int) string { return r.value(call.Args[at]) }
	switch name.X.(*ast.Ident).Name + "." + name.Sel.Name {
	case "types.Bool", "types.Int", "types.String":
		return argument(0)
	case "types.Double":
		return "double(" + argument(0) + ")"
	case "types.OptionalOf":
		return "optional.of(" + argument(0) + ")"
	case "types.NewStringList":
		return argument(1)
	case "resource.MustParse":
		return "quantity(" + argument(0) + ")"
	case "semver.MustParse":
		return "semver(" + argument(0) + ")"
	case "netip.ParseAddr":
		return "ip(" + argument(0) + ")"
	case "netip.ParsePrefix":
		return "cidr(" + argument(0) + ")"
	case "netip.PrefixFrom":
		return "cidr(string(" + argument(0) + ") + '/' + string(" + argument(1) + "))"
	}
	check(fmt.Errorf("%s: a call that cannot be read: %s", r.prefix, name.Sel.Name))
	return ""
}

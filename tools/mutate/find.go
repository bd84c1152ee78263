package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// mutant is one change of one file.
type mutant struct {
	id         string // file:function:kind#number, which does not depend on line numbers
	change     string // as it is shown
	position   token.Position
	source     *source
	function   *ast.FuncDecl // nil: outside of functions
	start, end int           // these bytes of the source
	text       string        // become this
}

// brief returns code in one line of at most 60 characters.
func brief(code string) string {
	text := []rune(strings.Join(strings.Fields(code), " "))
	if len(text) > 60 {
		text = append(text[:59], '…')
	}
	return string(text)
}

// finder collects the mutants of one file.
type finder struct {
	*source
	info     *types.Info
	function *ast.FuncDecl
	name     string // of what is declared
	numbers  map[string]int
	skip     map[ast.Node]bool
	same     map[*ast.BasicLit]string // kind of mutant that would repeat another one
	mutants  []*mutant
}

// find returns the mutants of a file, those that do not compile included.
func (c *code) find(s *source) []*mutant {
	f := &finder{source: s, info: c.TypesInfo, numbers: map[string]int{}, skip: map[ast.Node]bool{}, same: map[*ast.BasicLit]string{}}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			f.function, f.name = d, d.Name.Name
			if d.Recv != nil {
				typ := strings.TrimPrefix(f.code(d.Recv.List[0].Type), "*")
				f.name = strings.Split(typ, "[")[0] + "." + f.name
			}
			ast.Inspect(d, f.visit)
		case *ast.GenDecl:
			f.function = nil
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					f.name = v.Names[0].Name
					ast.Inspect(v, f.visit)
				}
			}
		}
	}
	return f.mutants
}

// add adds the mutant that replaces the code between from and to with text.
func (f *finder) add(kind string, from, to token.Pos, text string) {
	f.addShown(kind, from, to, text, f.between(from, to), text)
}

// addShown is add for a mutant that is shown in another way.
func (f *finder) addShown(kind string, from, to token.Pos, text, before, after string) {
	name := f.name + ":" + kind
	f.numbers[name]++
	f.mutants = append(f.mutants, &mutant{
		id:       fmt.Sprintf("%s:%s#%d", f.base, name, f.numbers[name]),
		change:   brief(before) + " → " + brief(after),
		position: f.position(from), source: f.source, function: f.function,
		start: f.offset(from), end: f.offset(to), text: text,
	})
}

var (
	opposites = map[token.Token]token.Token{
		token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.GEQ,
		token.GEQ: token.LSS, token.GTR: token.LEQ, token.LEQ: token.GTR,
	}
	boundaries = map[token.Token]token.Token{
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	}
	connectives = map[token.Token]token.Token{token.LAND: token.LOR, token.LOR: token.LAND}
)

func (f *finder) visit(n ast.Node) bool {
	if n == nil || f.skip[n] {
		return false
	}
	if e, ok := n.(ast.Expr); ok && f.duration(e) {
		return false
	}
	switch n := n.(type) {
	case *ast.Field:
		f.skip[n.Tag] = true // before Inspect gets there; a nil key does no harm
	case *ast.BinaryExpr:
		f.sameAsBoundary(n)
		f.operator("flip", n, opposites)
		f.operator("bound", n, boundaries)
		f.operator("logic", n, connectives)
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.add("not", n.Pos(), n.End(), f.code(n.X))
		}
	case *ast.Ident:
		other := map[string]string{"true": "false", "false": "true"}[n.Name]
		if other != "" && f.info.Uses[n] == types.Universe.Lookup(n.Name) {
			f.add("bool", n.Pos(), n.End(), other)
		}
	case *ast.BasicLit:
		f.literal(n)
	case *ast.IfStmt:
		f.negate(n.Cond)
		if len(n.Body.List) == 1 && n.Else == nil {
			f.skip[n.Body] = true // to drop what is in it is to drop the if
			ast.Inspect(n.Body.List[0], f.visit)
		}
	case *ast.ForStmt:
		f.negate(n.Cond)
	case *ast.SwitchStmt:
		f.cases(n.Body, n.Tag == nil)
	case *ast.TypeSwitchStmt:
		f.cases(n.Body, false)
	case *ast.BlockStmt:
		f.drop(n.List)
	case *ast.CaseClause:
		f.drop(n.Body)
	case *ast.CommClause:
		f.addShown("clause", n.Pos(), n.End(), "", f.between(n.Pos(), n.Colon+1), "no such clause")
		f.drop(n.Body)
	}
	return true
}

// sameAsBoundary records which change to the number on the right of an integer
// comparison only moves its boundary, as another mutant does: n < 1 is n <= 0.
func (f *finder) sameAsBoundary(n *ast.BinaryExpr) {
	number, isLiteral := n.Y.(*ast.BasicLit)
	basic, ok := f.info.Types[n.X].Type.Underlying().(*types.Basic)
	if !ok || !isLiteral || basic.Info()&types.IsInteger == 0 {
		return
	}
	switch n.Op {
	case token.LSS, token.GEQ:
		f.same[number] = "more"
	case token.LEQ, token.GTR:
		f.same[number] = "less"
	}
}

// operator adds the mutant with another operator.
func (f *finder) operator(kind string, n *ast.BinaryExpr, others map[token.Token]token.Token) {
	if other, ok := others[n.Op]; ok {
		end := n.OpPos + token.Pos(len(n.Op.String()))
		f.addShown(kind, n.OpPos, end, other.String(), f.code(n), f.between(n.Pos(), n.OpPos)+other.String()+f.between(end, n.End()))
	}
}

// duration adds the mutant in which a duration is twice as long, and reports
// whether e is a constant one.
func (f *finder) duration(e ast.Expr) bool {
	t := f.info.Types[e]
	if t.Value == nil || t.Type.String() != "time.Duration" {
		return false
	}
	// A constant of this package is changed where it is declared, and zero
	// has no double.
	if _, named := e.(*ast.Ident); !named && constant.Sign(t.Value) != 0 {
		f.add("duration", e.Pos(), e.End(), "(2 * ("+f.code(e)+"))")
	}
	return true
}

// literal adds the mutants in which a number is one more or one less, or a string
// is empty.
func (f *finder) literal(n *ast.BasicLit) {
	switch n.Kind {
	case token.INT:
		if f.same[n] != "more" {
			f.add("more", n.Pos(), n.End(), "("+n.Value+" + 1)")
		}
		if f.same[n] != "less" {
			f.add("less", n.Pos(), n.End(), "("+n.Value+" - 1)")
		}
	case token.STRING:
		if text, err := strconv.Unquote(n.Value); err == nil && text != "" {
			f.add("string", n.Pos(), n.End(), `""`)
		}
	}
}

// negate adds the mutant with the opposite condition, unless another mutant has it.
func (f *finder) negate(cond ast.Expr) {
	switch c := cond.(type) {
	case nil:
		return
	case *ast.BinaryExpr:
		if opposites[c.Op] != 0 {
			return
		}
	case *ast.UnaryExpr:
		if c.Op == token.NOT {
			return
		}
	}
	f.add("negate", cond.Pos(), cond.End(), "!("+f.code(cond)+")")
}

// cases adds the mutants in which a switch lacks one expression of a case, or a
// whole clause. Where possible the code stays but never runs, so that a variable
// that is used nowhere else is not an error.
func (f *finder) cases(body *ast.BlockStmt, isTagless bool) {
	f.skip[body] = true // its statements are clauses
	for _, s := range body.List {
		clause := s.(*ast.CaseClause)
		head := f.between(clause.Pos(), clause.Colon+1)
		switch {
		case !isTagless:
			f.addShown("clause", clause.Pos(), clause.End(), "", head, "no such clause")
		case clause.List == nil:
			f.addShown("clause", clause.Pos(), clause.Colon, "case false", head, "no such clause")
		default:
			never := make([]string, len(clause.List))
			for i, e := range clause.List {
				never[i] = "false && (" + f.code(e) + ")"
				f.negate(e)
			}
			f.addShown("clause", clause.List[0].Pos(), clause.Colon, strings.Join(never, ", "), head, "no such clause")
		}
		if len(clause.List) > 1 {
			f.expressions(clause.List, isTagless)
		}
		ast.Inspect(clause, f.visit)
	}
}

// expressions adds the mutants in which a case lacks one of its expressions.
func (f *finder) expressions(list []ast.Expr, isTagless bool) {
	for i, e := range list {
		from, to, text := e.Pos(), e.End(), ""
		switch {
		case isTagless:
			text = "false && (" + f.code(e) + ")"
		case i > 0:
			from = list[i-1].End() // with the comma
		default:
			to = list[1].Pos()
		}
		f.addShown("case", from, to, text, "case "+f.code(e), "no such case")
	}
}

// drop adds the mutants in which one of the statements is not run.
func (f *finder) drop(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.DeclStmt, *ast.EmptyStmt, *ast.BlockStmt, *ast.CommClause:
			continue
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue // the code after it would not compile
			}
		}
		f.addShown("drop", s.Pos(), s.End(), "if false { "+f.code(s)+" }", f.code(s), "dropped")
	}
}

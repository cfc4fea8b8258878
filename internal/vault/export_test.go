package vault

// Sweep is one round of Run.
var Sweep = (*Server).sweep

// Row is what a test may know of a row of the table.
type Row struct {
	Op, Action, Permission, Method string
	Patterns                       []string
	Reads                          bool
}

// Rows are the table's.
func Rows() (all []Row) {
	for _, o := range rows() {
		all = append(all, Row{o.op, o.action, o.permission, o.method, o.patterns(), o.class.reads})
	}
	return all
}

// Watch has began told of each operation that the front lets begin.
func Watch(s *Server, began func(op string)) {
	for i := range s.table {
		o := s.table[i]
		s.table[i].do = func(c *call) (answer, error) {
			began(o.op)
			return o.do(c)
		}
	}
}

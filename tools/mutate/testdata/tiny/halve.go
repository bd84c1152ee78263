package tiny

// Halve takes steps to get n to zero; with another step it never would.
func Halve(n int) (steps int) {
	for n > 0 {
		n /= 2
		steps++
	}
	return steps
}

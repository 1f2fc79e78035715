package deadletters

import (
	"slices"
	"strings"
)

// line is a line of a difference: Kind is " ", "-" or "+".
type line struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// maxDiff bounds the work: lines beyond it are shown as taken away and added.
const maxDiff = 2000

// diff compares two texts line by line, by their longest common subsequence.
func diff(before, after string) []line {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	var lines []line
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		lines = append(lines, line{" ", a[start]})
		start++
	}
	a, b = a[start:], b[start:]
	end := 0
	for end < len(a) && end < len(b) && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	tail := a[len(a)-end:]
	lines = append(lines, middle(a[:len(a)-end], b[:len(b)-end])...)
	for _, text := range tail {
		lines = append(lines, line{" ", text})
	}
	return lines
}

// middle compares what is between the lines that both begin and end with.
func middle(a, b []string) []line {
	if len(a)*len(b) > maxDiff*maxDiff {
		return append(all("-", a), all("+", b)...)
	}
	common := lengths(a, b)
	var lines []line
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			lines = append(lines, line{" ", a[i]})
			i++
			j++
		case common[i+1][j] >= common[i][j+1]:
			lines = append(lines, line{"-", a[i]})
			i++
		default:
			lines = append(lines, line{"+", b[j]})
			j++
		}
	}
	return append(append(lines, all("-", a[i:])...), all("+", b[j:])...)
}

// lengths are those of the longest common subsequences of all tails.
func lengths(a, b []string) [][]int {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, left := range slices.Backward(a) {
		for j, right := range slices.Backward(b) {
			if left == right {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}

func all(kind string, texts []string) []line {
	lines := make([]line, len(texts))
	for i, text := range texts {
		lines[i] = line{kind, text}
	}
	return lines
}

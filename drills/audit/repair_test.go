package audit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/drills/load"
)

// repairs are all commands that findings propose, with text where rows, messages and ledgers have
// text. words is how many words the shell must find, the command's name not counted.
func repairs(text string) map[string]int {
	w := row{Database: "orders", ID: 18, EventID: uuid.MustParse("01976f2e-0000-7000-8000-00000000000c"), Topic: text + ".dlq", Key: text, Type: text}
	return map[string]int{
		repairExplain(17):                  3,
		repairShow(17):                     2,
		repairCancel(17):                   9,
		repairForced(17, confirmed):        3,
		repairForced(17, "x"):              3,
		repairRelease(17):                  3,
		repairReplayKey("orders", 1):       5,
		repairReplayRows(w, w):             6,
		repairPending(w):                   2,
		repairLook(w):                      3,
		repairStuck("orders", []int64{18}): 4,
		repairShowRow(w):                   3,
		repairLost(load.Entry{OrderID: 17, UserID: text, SKU: text, Quantity: 2}): 9,
		repairStock(stockLevel{SKU: text, Received: 4, OnHand: 3}):                3,
		repairMovements(stockLevel{SKU: text, Received: 4, OnHand: 3}):            3,
		repairDeadLetters("orders"):                                               5,
		repairDeadLetter(w, false):                                                -1, // the groups, or a cancellation
		repairShowMessage(message{Topic: text, Offset: 3}):                        -1,
	}
}

// A principal that may insert into one outbox must not get a command run by an operator who pastes
// what the audit proposes: in a shell in which every command is a stub, the proposed one is the
// only one to run, and gets as many words as were meant.
func FuzzRepairsRunOneCommand(f *testing.F) {
	for _, text := range []string{
		"x; touch owned #", "$(touch owned)", "`touch owned`", "a\ntouch owned\n", "'; touch owned; '", `"; touch owned; "`, `\'; touch owned; #`,
		"&& touch owned", "|touch owned", ">owned", "!!", "*", "\x1b[2K", "--yes", "-x", "", "orders.v1", "o'brien's", "a&b",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		for _, name := range []string{"orchestrator", "outbox-relay", "waybill", "psql", "curl", "kcat", "touch", "owned"} {
			stub := "#!/bin/sh\nprintf '%s\\n' \"" + name + " $#\" >>calls\n"
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(stub), 0o755))
		}
		for line, words := range repairs(text) {
			if line == "" {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir, "ORDERS_DB=a b", "INVENTORY_DB=$(touch owned)", "ORCHESTRATOR_DB='"}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s", line, out)
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(calls), "\n"), "%s ran %s", line, calls)
			name, _, _ := strings.Cut(line, " ")
			if words >= 0 {
				require.Equal(t, fmtCall(name, words), string(calls), line)
			} else {
				require.True(t, strings.HasPrefix(string(calls), name+" "), "%s ran %s", line, calls)
			}
			require.NoError(t, os.Remove(filepath.Join(dir, "calls")))
		}
	})
}

func fmtCall(name string, words int) string { return name + " " + number(int64(words)) + "\n" }

// What the plan runs changes something, and what it does not run changes nothing.
func TestLooks_TellsCommandsApart(t *testing.T) {
	t.Parallel()
	w := row{Database: "orders", ID: 18, Key: "17", Topic: "orders.v1.dlq"}
	for _, command := range []string{
		"", repairExplain(17), repairShow(17), repairPending(w), repairLook(w), repairShowRow(w), lookAtStock(stockLevel{}), repairDeadLetter(w, true),
		repairShowMessage(message{Topic: "orders.v1"}),
	} {
		require.True(t, looks(command), command)
	}
	letter := w
	letter.Letter = 3
	again := letter
	again.Reason = "event id 1 was used before, by another message at inventory.v1/0 offset 165"
	require.True(t, looks(repairDeadLetter(again, false)), "a person has to say which of the two is right")
	for _, command := range []string{
		repairCancel(17), repairMissing, repairLost(load.Entry{UserID: "u", SKU: "burger", Quantity: 1}), repairRelease(17), repairForced(17, confirmed),
		repairReplayKey("orders", 17), repairReplayRows(w, w), repairStuck("orders", []int64{1}), repairStock(stockLevel{SKU: "a"}),
		repairMovements(stockLevel{SKU: "a"}), repairOverdue(17), repairDeadLetter(letter, false), repairDeadLetter(again, true),
	} {
		require.False(t, looks(command), command)
	}
}

package saga_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The guide's code is that of the examples, so it compiles.
func TestTheGuideShowsCodeThatCompiles(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/sagas.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range []string{
		"../../sdk/saga/example_test.go", "../../sdk/saga/participant_example_test.go", "../../sdk/saga/language_example_test.go",
		"../../sdk/saga/runner/example_test.go", "../../sdk/saga/sagasim/example_test.go", "../../sdk/saga/sagatest/sagatest_test.go",
	} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		code.WriteString(squeeze(string(content)))
	}
	for _, file := range []string{"python-participant/car.py", "java-participant/Bank.java"} {
		content, err := os.ReadFile("../../examples/" + file)
		require.NoError(t, err)
		code.WriteString(squeeze(string(content)))
	}
	blocks := regexp.MustCompile("(?s)```(?:go|python|java)\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		require.Contains(t, code.String(), squeeze(b[1]), "this code of docs/sagas.md is in no example")
	}
}

// squeeze makes indentation, and where comments are wrapped, of no account.
func squeeze(s string) string {
	words := slices.DeleteFunc(strings.Fields(s), func(word string) bool { return word == "//" })
	return strings.Join(words, " ") + " "
}

// lines names the tests of each line of the guide's table, by how the line begins.
var lines = map[string][]string{
	"a success |":                                {"TestAnOrderIsReservedThenConfirmed", "TestStepsInParallelAreAskedAtOnceAndAllMustSucceed"},
	"a failure |":                                {"TestWhatWasDoneIsUndoneInReverseOrder", "TestAFailureWaitsForTheStepBesideItBeforeUndoingIt"},
	"a failure, after the command was sent":      {"TestARefusalAfterARepetitionIsUndoneAllTheSame"},
	"nothing, until the deadline":                {"TestASilentInventoryIsAskedAgainWithGrowingPatienceThenGivenUp"},
	"nothing at all":                             {"TestASilentInventoryIsAskedAgainWithGrowingPatienceThenGivenUp"},
	"no answer to a step that is never given up": {"TestAConfirmationIsNeverGivenUp", "TestDeadline_ACommandThatMustBeAnsweredShowsAsStuckAfterItsAttempts"},
	"a refusal of such a step":                   {"TestReply_AConfirmationThatIsContradictedEndsTheSaga"},
	"a success after all that":                   {"TestALateReservationIsReleasedExactlyOnce"},
	"a reply to an earlier attempt":              {"TestAReplyToAnEarlierAttemptCountsWhileTheStepWaits"},
	"a reply to a command of another saga":       {"TestRepliesThatDoNotFitAreRecordedAndNotApplied"},
	"a step whose condition does not hold":       {"TestIf_AStepThatIsNotNeededIsSkippedAndNeverUndone", "TestIf_AStageOfWhichNothingIsNeededIsPassed", "TestForce_TheCompletedEndAsksConditionsAndAwaitsNothing"},
	"the turn of a step that is only told":       {"TestTell_IsSentOnceAndNotWaitedFor"},
	"an event that a step awaits":                {"TestAwait_AnEventEndsTheWaitWhateverCausedIt"},
	"an event before the step's turn":            {"TestAwait_AnEventThatComesBeforeItsTurnCounts", "TestAwait_ARefusalBeforeItsTurnUndoesTheSagaAtOnce"},
	"an event again":                             {"TestAwait_AnEventAgainOrAfterTheEndIsStale"},
	"an event that does not come":                {"TestAwait_AnEventThatDoesNotComeIsGivenUpAndNotUndone"},
	"an event after compensation has begun":      {"TestAwait_AnEventAfterTheSagaTurnedBackIsUndoneOnce"},
	"an event for several sagas":                 {"TestRoute_AnEventIsForEverySagaThatAwaitsIt", "TestDeliverEvent_AppliesAnEventOnceToEverySagaThatAwaitsIt"},
	"an event under a key without a saga":        {"TestAwait_BeforeTheSagaHasBegunItIsForNobody", "TestProcess_AnEventThatOvertakesItsSagaIsADeadLetter"},
	"an event over HTTP":                         {"TestAPI_AnEventOverHTTPIsAppliedOnce", "TestDeliverEvent_AppliesAnEventOnceToEverySagaThatAwaitsIt"},
	"the time that a step lets pass":             {"TestAfter_TimePassesUnlessTheSagaTurnsBack"},
	"the deadline of the whole saga":             {"TestWithin_ASagaThatHasNotCompletedInItsTimeIsUndone"},
	"a retry of a step that awaits":              {"TestIntervene_WhatNobodyWasAskedForCannotBeRetried"},
	"a forced completion of a saga that awaits":  {"TestForce_TheCompletedEndAsksConditionsAndAwaitsNothing"},
	"data that changes":                          {"TestAttribute_FollowsTheData", "TestList_ByAttributesThatFollowTheDataAndGoWithTheSaga"},
	"a reply for a saga that does not exist":     {"TestProcess_AReplyForASagaThatDoesNotExistIsCounted"},
	"a cancellation while it runs":               {"TestACancellationWhilePendingWaitsForTheReplyThenUndoesWhatWasDone"},
	"a cancellation again":                       {"TestACancellationWhilePendingWaitsForTheReplyThenUndoesWhatWasDone", "TestCancel_AfterTheWindowIsRefusedOnce"},
	"a cancellation after completion":            {"TestAConfirmedOrderIsCancelledWithinTheWindowOnly", "TestCancel_AfterTheWindowIsRefusedOnce"},
	"a cancellation without a saga":              {"TestCancel_AForgottenSagaIsNotMadeUp", "TestACancellationThatOvertakesTheStartCancelsTheOrderOnceItBegins"},
	"another start message":                      {"TestRegistry_AStartByAnotherMessageIsAConflict", "TestAStartByAnotherMessageIsACountedDeadLetter"},
	"an undo that is not answered":               {"TestAnUndoThatIsNotAnsweredIsStuckInSightAndKeepsTrying", "TestCompensation_AnUndoThatRanOutOfAttemptsNoLongerHoldsTheOthers"},
	"a definition version that nobody knows":     {"TestASagaWhoseDefinitionIsGoneIsSuspendedAndGoesOnWhenItIsBack"},
	"a held message that cannot be applied":      {"TestRegistry_WhatWasHeldAndCannotBeAppliedIsRefusedNotLost", "TestApplyDue_AHeldMessageThatIsSetAsideCanBeSentAgain"},
	"a function of a definition that panics":     {"TestApply_APanicInADefinitionIsAnErrorWithItsText"},
	"a reason that is too long":                  {"TestText_IsCutOnceAndPlain"},
	"a deadline whose command is still":          {"TestApplyDue_ACommandThatHasNotLeftTheOutboxUsesUpNothing"},
	"a deadline that cannot be acted on":         {"TestApplyDue_ADeadlineThatCannotBeActedOnShowsAsTrouble"},
	"deadlines that passed in an outage":         {"TestLoop_WhatPassedInAnOutageIsSpreadAndBounded", "TestADeadlineWaitsForTheRepliesThatHaveCome", "TestApplyDue_WaitsUntilThePartitionHasBeenRead"},
	"the orchestrator's database is put back":    {"TestApply_AnUndoThatARestoreHasForgottenTurnsTheSagaBack", "TestApply_ASuccessOfACommandThatARestoreHasForgottenIsUndone", "TestApply_RepliesThatAreReadBeforeTheStartAreAppliedWithIt", "TestApply_TheReplyToAnAttemptThatARestoreHasForgottenCounts"},
	"an unreadable message":                      {"TestWhatCannotBeReadIsADeadLetterAndWhatIsUnknownIsSkipped"},
	"a command topic that does not exist":        {"TestApplyDue_ACommandThatHasNotLeftTheOutboxUsesUpNothing", "TestWhatStandsInTheWayIsNamed"},
}

// Each line of the guide's table has a test that holds it, and the tests exist.
func TestTheGuideHasATestForEachLineOfItsTable(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/sagas.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(guide), "| what comes | what the engine does |\n| --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "../../sdk/saga/*/*_test.go", "../../orchestrator/*/*_test.go", "../../orchestrator/internal/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			tests.Write(content)
		}
	}
	rows := strings.Split(strings.TrimSpace(table), "\n")
	require.Len(t, rows, len(lines))
	for _, row := range rows {
		held := 0
		for start, names := range lines {
			if !strings.HasPrefix(row, "| "+start) {
				continue
			}
			held++
			for _, name := range names {
				require.Contains(t, tests.String(), "func "+name+"(", row)
			}
		}
		require.Equal(t, 1, held, row)
	}
}

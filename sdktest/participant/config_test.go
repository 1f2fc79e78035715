package participant_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/participant"
)

func TestNew_SaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	s := step()
	s.Refused = ""
	_, err := participant.New(participant.Config{Consumer: "hotel"}, s, participant.Step{Do: s.Do, Done: "RoomReserved"})
	for _, problem := range []string{
		"the consumer or the database is not set", `step "ReserveRoom": there is no topic`, `the command "ReserveRoom" is handled twice`,
		`the answer "RoomReserved" is used twice`,
	} {
		require.ErrorContains(t, err, problem)
	}
	_, err = participant.New(participant.Config{Consumer: "hotel", DB: &pgxpool.Pool{}, Topic: "hotel.v1"}, s)
	require.ErrorContains(t, err, "needs Undone, and Refused")
}

// A handler without a function would panic at the first command, again and again.
func TestNew_RefusesAHandlerWithoutAFunction(t *testing.T) {
	t.Parallel()
	config := participant.Config{Consumer: "hotel", DB: &pgxpool.Pool{}, Topic: "hotel.v1"}
	s := step()
	s.Do = participant.Handle[room, room]("ReserveRoom", nil)
	_, err := participant.New(config, s)
	require.ErrorContains(t, err, `step "ReserveRoom": Do must be made by Handle, with the type of the command and a function`)
	s = step()
	s.Undo = participant.HandleUndo[room]("ReleaseRoom", nil)
	_, err = participant.New(config, s)
	require.ErrorContains(t, err, `step "ReserveRoom": Undo must be made by HandleUndo, with a function`)
}

func TestParticipant_SaysWhatToRunWhereTheDatabaseWasNotSetUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	err := hotel(t, db.Pool, step()).Process(t.Context(), []inbox.Delivery{command("ReserveRoom", "17", body(7, false))})
	require.ErrorContains(t, err, "run: migrate up --database URL participant")
}

package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/chassis/postgres"
	"waybill.example/outbox-relay/internal/cursor"
)

// ErrNoSchema means that the database has no outbox tables, or older ones than the relay needs.
var ErrNoSchema = errors.New("the outbox schema is missing")

// ErrFenced means that another relay leads this database now: whatever the session tried has not
// happened.
var ErrFenced = errors.New("another relay has taken over this database")

// Session is a connection to one database. It is for one goroutine at a time.
type Session struct {
	conn         *pgx.Conn
	database     string
	fence        *postgres.Fence
	epoch        int64
	names        interned
	allocatedSQL string // reads the highest id that was handed out
	notified     bool   // a notification has come that nothing has acted on yet
	asked        bool   // so has one of an operator
	writersTell  bool   // writers notify a relay that sleeps
	pid          uint32 // of the server's process
}

// LeaderLock is the advisory lock whose holder leads. Locks belong to a database, so one number
// does for all: "outbox" in ASCII.
const LeaderLock = 0x6f7574626f78

// Every statement of the relay goes by id, so a plan that scans the table is always a mistake, made
// from statistics of a time when the table was small. Not waiting for the disk when the cursor
// moves is safe: a cursor that a crash takes back means rows that are sent again. The keepalives
// end the session of a relay whose machine is gone.
//
// Names without a schema are Postgres' own: what the owner of a database, or before Postgres 15 any
// role that may connect, creates in the schema public must not run because it fits a statement
// better than what was meant (CVE-2018-1058). So the tables are named with their schema.
//
// They are set once the session is there and not when it is asked for: poolers refuse startup
// parameters that they do not know.
const settingsSQL = `
set search_path = pg_catalog, pg_temp;
set synchronous_commit = off;
set enable_seqscan = off;
set enable_bitmapscan = off;
set max_parallel_workers_per_gather = 0;
set jit = off;
set lock_timeout = '10s';
set statement_timeout = '30s';
set idle_in_transaction_session_timeout = '10s';
set tcp_keepalives_idle = 2;
set tcp_keepalives_interval = 1;
set tcp_keepalives_count = 3`

// Connect opens a session. Name is what people call the database. It returns ErrNoSchema, with the
// command to run, where the outbox's tables are missing, and ErrTransactionPooler where it does not
// have the session for itself.
func Connect(ctx context.Context, name, dsn string) (*Session, error) {
	return ConnectBehind(ctx, new(postgres.Fence), name, dsn)
}

// ConnectBehind is Connect for a process that has connected before: the fence keeps it from a
// primary that was replaced since.
func ConnectBehind(ctx context.Context, fence *postgres.Fence, name, dsn string) (*Session, error) {
	s, err := connect(ctx, fence, name, dsn)
	if err != nil {
		return nil, err
	}
	if err := s.ownsSession(ctx, dsn); err != nil {
		s.Close(ctx)
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

func connect(ctx context.Context, fence *postgres.Fence, name, dsn string) (*Session, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the URL of database %s is not valid", name) // the error would show the password
	}
	config.RuntimeParams["application_name"] = "outbox-relay"
	config.ConnectTimeout = 5 * time.Second
	if config.ValidateConnect == nil && slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.Host != config.Host || f.Port != config.Port }) {
		// Of several hosts the one that can be written to, whatever the URL says.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	config.ValidateConnect = fence.After(config.ValidateConnect)
	s := &Session{database: name, fence: fence}
	// One read finds every row there is, so a thousand notifications are worth one: pgx would keep
	// each of them.
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		s.notified = true
		s.asked = s.asked || n.Payload == OperatorAsks
	}
	if s.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", name, err)
	}
	if _, err := s.conn.PgConn().Exec(ctx, settingsSQL).ReadAll(); err != nil {
		s.Close(ctx)
		return nil, fmt.Errorf("set up a session with database %s: %w", name, err)
	}
	return s, nil
}

func (s *Session) prepare(ctx context.Context) error {
	if err := s.findSequence(ctx); err != nil {
		return err
	}
	for name, sql := range map[string]string{readTailName: readTailSQL, readGapsName: readGapsSQL, readGatedName: readGatedSQL} {
		if _, err := s.conn.Prepare(ctx, name, sql); err != nil {
			return s.explain(fmt.Errorf("prepare to read the outbox: %w", err))
		}
	}
	// Of what the relay needs, the newest: without it publishing would go on, and maintenance fail.
	if _, err := s.conn.Exec(ctx, newestSQL); err != nil {
		return s.explain(fmt.Errorf("look at the outbox's schema: %w", err))
	}
	return nil
}

const newestSQL = `select retention_clock from public.outbox_cursor limit 0`

// explain turns a missing table or column into ErrNoSchema and what to do about it.
func (s *Session) explain(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "42703") { // undefined table, undefined column
		return fmt.Errorf("database %s: %w (%s); run: migrate up --database URL outbox", s.database, ErrNoSchema, pg.Message)
	}
	return err
}

// Close ends the session and with it its leadership, without waiting long for a server that does
// not answer.
func (s *Session) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // the caller's may be over already
	defer cancel()
	_ = s.conn.Close(ctx)
}

const tryLeadSQL = `select pg_try_advisory_lock($1)`

// TryLead asks for the leadership and says whether the session has it now. It does not wait in the
// database: a waiting statement would hold back vacuum.
func (s *Session) TryLead(ctx context.Context) (bool, error) {
	var leads bool
	if err := s.conn.QueryRow(ctx, tryLeadSQL, int64(LeaderLock)).Scan(&leads); err != nil {
		return false, fmt.Errorf("ask for the lead of database %s: %w", s.database, err)
	}
	return leads, nil
}

// Progress is what a new leader finds.
type Progress struct {
	// Published are the ids that need not be read again.
	Published *cursor.Set
	// Paused says that an operator has paused the source.
	Paused bool
	// Stuck are the stuck rows: later rows of their keys, or of their whole topics, have to wait.
	Stuck []Due
	// Orphaned are the topics that have parked rows which wait for no stuck row any more.
	Orphaned []string
}

const (
	listenSQL    = `listen outbox`
	beginTermSQL = `
update public.outbox_cursor
   set epoch = epoch + 1, leader = $1, led_since = now()
returning epoch, published::text, paused`
)

// Begin starts a term: it draws a new epoch, so that the writes of every earlier leader fail from
// here on, and reads how far they came. The session must have been given the lead.
func (s *Session) Begin(ctx context.Context, leader string) (Progress, error) {
	var progress Progress
	var published string
	if _, err := s.conn.Exec(ctx, listenSQL); err != nil {
		return progress, fmt.Errorf("listen for new rows of database %s: %w", s.database, err)
	}
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		// Durable, unlike a cursor that moves: after a crash no two terms may have one number.
		if _, err := tx.Exec(ctx, `set local synchronous_commit = on`); err != nil {
			return err
		}
		return tx.QueryRow(ctx, beginTermSQL, leader).Scan(&s.epoch, &published, &progress.Paused)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return progress, fmt.Errorf("database %s: outbox_cursor is empty; run: insert into outbox_cursor default values", s.database)
	}
	if err != nil {
		return progress, s.explain(fmt.Errorf("begin to lead database %s: %w", s.database, err))
	}
	if progress.Published, err = cursor.Parse(published); err != nil {
		return progress, fmt.Errorf("read the cursor of database %s: %w", s.database, err)
	}
	if progress.Stuck, err = s.Heads(ctx); err != nil {
		return progress, err
	}
	if progress.Orphaned, err = s.orphaned(ctx); err != nil {
		return progress, err
	}
	if s.writersTell, err = s.writersNotify(ctx); err != nil {
		return progress, err
	}
	return progress, s.Verify(ctx, progress.Published, nil)
}

// Epoch returns the number of the session's term.
func (s *Session) Epoch() int64 { return s.epoch }

// Join has the session write as part of a term that another session has begun.
func (s *Session) Join(epoch int64) { s.epoch = epoch }

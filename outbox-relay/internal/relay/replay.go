package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

const replayRows = 1000

// replay works off the jobs that wait, one after the other. Rows of a job go out in the order of
// their ids, a page at a time and no faster than the job's rate, through a producer of their own: a
// row that is refused today ends the job and nothing else.
func (m *maintenance) replay(ctx context.Context) error {
	for ctx.Err() == nil {
		job, found, err := m.session.TakeReplay(ctx)
		if err != nil || !found {
			return err
		}
		if err := m.replayJob(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

func (m *maintenance) replayJob(ctx context.Context, job source.Replay) error {
	m.log.InfoContext(ctx, "replaying", "job", job.ID, "from_id", job.LastID+1)
	producer, err := publish.Open(m.kafka, m.name, publish.Settings{Profile: publish.Throughput}, m.log)
	if err != nil {
		return err
	}
	defer producer.Close()
	page := min(replayRows, max(1, job.Rate/10))
	batch := source.NewBatch(page)
	for ctx.Err() == nil {
		began := time.Now()
		batch.Reset()
		if err := m.session.ReadReplay(ctx, job, page, batch); err != nil {
			return err
		}
		if len(batch.Rows) == 0 {
			m.log.InfoContext(ctx, "replay done", "job", job.ID)
			return m.session.FinishReplay(ctx, job.ID, "")
		}
		sent, err := m.replayPage(ctx, producer, job, batch)
		if errors.Is(err, errReplayEnds) {
			m.log.InfoContext(ctx, "replay stops", "job", job.ID)
			return nil
		}
		if _, refused := errors.AsType[*publish.PermanentError](err); refused {
			return m.session.FinishReplay(ctx, job.ID, err.Error())
		}
		if err != nil {
			return err // the maintenance takes the job up again
		}
		job.LastID = batch.Rows[len(batch.Rows)-1].ID
		goesOn, err := m.session.AdvanceReplay(ctx, job.ID, sent, job.LastID)
		if err != nil || !goesOn {
			return err
		}
		pause(ctx, time.Duration(len(batch.Rows))*time.Second/time.Duration(job.Rate)-time.Since(began))
	}
	return nil
}

// errReplayEnds means that the job was cancelled, the source paused, or that another relay leads.
var errReplayEnds = errors.New("the replay is to go on no more")

// How often a job that waits for the broker is looked at, to see whether it was cancelled.
const cancelEvery = 500 * time.Millisecond

// replayPage sends rows, waits until all of them are acknowledged, and returns how many those are.
// No more of them is in memory than loadBytes, or one row.
func (m *maintenance) replayPage(ctx context.Context, producer *publish.Producer, job source.Replay, batch *source.Batch) (sent int, err error) {
	for rows := batch.Rows; len(rows) > 0; {
		n, bytes := 1, rows[0].Body
		for n < len(rows) && bytes+rows[n].Body <= loadBytes {
			bytes += rows[n].Body
			n++
		}
		some, err := m.replayRows(ctx, producer, job, rows[:n])
		if err != nil {
			return sent, err
		}
		sent, rows = sent+some, rows[n:]
	}
	return sent, nil
}

func (m *maintenance) replayRows(ctx context.Context, producer *publish.Producer, job source.Replay, rows []*source.Row) (sent int, err error) {
	for _, row := range rows {
		if row.Body > m.maxMessage {
			return 0, fmt.Errorf("replay row %d: %w", row.ID, publish.TooLarge(row.Body, m.maxMessage))
		}
	}
	if err := m.session.LoadBodies(ctx, unloaded(rows)); err != nil {
		return 0, err
	}
	known := ""
	for _, row := range rows {
		if !row.Loaded() {
			continue // retention was faster
		}
		if job.Topic != nil {
			row.Topic = *job.Topic
		}
		if row.Topic != known {
			if !m.options.Topics.Allow(row.Topic) {
				return 0, fmt.Errorf("replay row %d: %w", row.ID, publish.NotAllowed(row.Topic))
			}
			if err := producer.LookUp(row.Topic); err != nil {
				return 0, fmt.Errorf("replay row %d: %w", row.ID, err)
			}
			known = row.Topic
		}
		if err := producer.Send(row); err != nil {
			return 0, fmt.Errorf("replay row %d: %w", row.ID, err)
		}
		row.Unload()
		sent++
	}
	return sent, m.awaitAnswers(ctx, producer, job, sent)
}

// awaitAnswers waits until so many rows are acknowledged, or the job is to go on no more: a broker
// may be unavailable for hours.
func (m *maintenance) awaitAnswers(ctx context.Context, producer *publish.Producer, job source.Replay, rows int) error {
	ticker := time.NewTicker(cancelEvery)
	defer ticker.Stop()
	for rows > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if goesOn, err := m.session.AdvanceReplay(ctx, job.ID, 0, job.LastID); err != nil || !goesOn {
				return cmp.Or(err, errReplayEnds)
			}
		case event := <-producer.Events():
			row, _, err := publish.Answered(event)
			if err != nil {
				return fmt.Errorf("replay row %d: %w", row.ID, err)
			}
			if row != nil {
				rows--
			}
		}
	}
	return nil
}

package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/outbox-relay/internal/publish"
	"waybill/outbox-relay/internal/source"
)

const replayRows = 1000

// replay works off the jobs that wait, one after the other. Rows of a job go out in the order of their ids, a page at a
// time and no faster than the job's rate, through a producer of their own: a row that is refused today ends the job
// and nothing else.
func (k *keeper) replay(ctx context.Context) error {
	for ctx.Err() == nil {
		job, found, err := k.session.TakeReplay(ctx)
		if err != nil || !found {
			return err
		}
		if err := k.replayJob(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) replayJob(ctx context.Context, job source.Replay) error {
	k.log.Info("replaying", "job", job.ID, "from_id", job.LastID+1)
	producer, err := publish.Open(k.kafka, k.name, publish.Settings{Pace: publish.Bulk}, k.log)
	if err != nil {
		return err
	}
	defer producer.Close()
	page := min(replayRows, max(1, job.Rate/10))
	batch := source.NewBatch(page)
	for ctx.Err() == nil {
		began := time.Now()
		batch.Reset()
		if err := k.session.ReadReplay(ctx, job, page, batch); err != nil {
			return err
		}
		if len(batch.Rows) == 0 {
			k.log.Info("replay done", "job", job.ID)
			return k.session.FinishReplay(ctx, job.ID, "")
		}
		err := k.replayPage(ctx, producer, job, batch)
		if _, refused := errors.AsType[*publish.Refusal](err); refused {
			return k.session.FinishReplay(ctx, job.ID, err.Error())
		}
		if err != nil {
			return err // the keeper takes the job up again
		}
		job.LastID = batch.Rows[len(batch.Rows)-1].ID
		goesOn, err := k.session.AdvanceReplay(ctx, job.ID, len(batch.Rows), job.LastID)
		if err != nil || !goesOn {
			return err
		}
		pause(ctx, time.Duration(len(batch.Rows))*time.Second/time.Duration(job.Rate)-time.Since(began))
	}
	return nil
}

// replayPage sends rows and waits until all of them are acknowledged. No more of them is in memory than loadBytes, or one row.
func (k *keeper) replayPage(ctx context.Context, producer *publish.Producer, job source.Replay, batch *source.Batch) error {
	for rows := batch.Rows; len(rows) > 0; {
		n, bytes := 1, rows[0].Body
		for n < len(rows) && bytes+rows[n].Body <= loadBytes {
			bytes += rows[n].Body
			n++
		}
		if err := k.replayRows(ctx, producer, job, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (k *keeper) replayRows(ctx context.Context, producer *publish.Producer, job source.Replay, rows []*source.Row) error {
	for _, row := range rows {
		if row.Body > k.maxMessage {
			return fmt.Errorf("replay row %d: %w", row.ID, publish.TooLarge(row.Body, k.maxMessage))
		}
	}
	if err := k.session.LoadBodies(ctx, unloaded(rows)); err != nil {
		return err
	}
	sent := 0
	for _, row := range rows {
		if !row.Loaded() {
			continue // retention was faster
		}
		if job.Topic != nil {
			row.Topic = *job.Topic
		}
		if err := producer.Send(row); err != nil {
			return fmt.Errorf("replay row %d: %w", row.ID, err)
		}
		row.Unload()
		sent++
	}
	for sent > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-producer.Events():
			row, err := publish.Answered(event)
			if err != nil {
				return fmt.Errorf("replay row %d: %w", row.ID, err)
			}
			if row != nil {
				sent--
			}
		}
	}
	return nil
}

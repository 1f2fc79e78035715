package relay

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// askSingly asks the prober about rows of a group, as many as it takes, and about one of each key
// at a time. It says whether it asked about any.
func (l *loop) askSingly(ctx context.Context, iso *isolator) (sent bool, err error) {
	if time.Now().Before(iso.retry) {
		return false, nil
	}
	if len(l.alone) >= maxProbes*3/4 {
		return false, nil
	}
	var left []*source.Row
	held := map[string]struct{}{}
	for i, row := range iso.singly {
		if len(l.alone) >= maxProbes {
			left = append(left, iso.singly[i:]...)
			break
		}
		key := string(row.Key)
		_, out := iso.out[key]
		_, behind := held[key]
		switch {
		case l.quarantine.blocks(row):
			l.park(row)
		case row.Key != nil && (out || behind):
			held[key] = struct{}{}
			left = append(left, row)
		default:
			if err := l.askAlone(ctx, iso, row); err != nil {
				return sent, err
			}
			sent = true
		}
	}
	iso.singly = left
	return sent, nil
}

func (l *loop) askAlone(ctx context.Context, iso *isolator, row *source.Row) error {
	if !row.Loaded() {
		if err := l.session.LoadBodies(ctx, []*source.Row{row}); err != nil {
			return err
		}
		if !row.Loaded() {
			l.missing(row)
			return nil
		}
	}
	l.alone[row] = iso
	iso.pending++
	if row.Key != nil {
		iso.out[string(row.Key)] = struct{}{}
	}
	err := l.prober.Send(row)
	row.Unload()
	if err != nil {
		l.aloneSays(iso, row, err)
	}
	return nil
}

// aloneSays takes the answer about one row of a group.
func (l *loop) aloneSays(iso *isolator, row *source.Row, err error) {
	delete(l.alone, row)
	delete(iso.out, string(row.Key))
	iso.pending--
	refusal, refused := errors.AsType[*publish.PermanentError](err)
	switch {
	case err == nil:
		l.acknowledged(row)
	case refused:
		row.Err = nil
		l.markStuck(row, refusal)
		iso.bad++
	default:
		iso.singly = append([]*source.Row{row}, iso.singly...)
		slices.SortFunc(iso.singly, func(a, b *source.Row) int { return cmp.Compare(a.ID, b.ID) })
		iso.retry = time.Now().Add(isolatorPause)
	}
}

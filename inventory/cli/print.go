package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/terminal"
	"waybill.example/inventory/internal/httpapi"
)

// Times are UTC, as everywhere in the system.
const timeLayout = "2006-01-02 15:04:05"

// more says how to go on.
func more(out io.Writer, next string) {
	if next != "" {
		terminal.Fprintf(out, "\nMore: --cursor=%s\n", next)
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func at(t time.Time) string { return t.UTC().Format(timeLayout) }

type levels struct {
	Stock []httpapi.Level
	Next  string
}

func printLevels(out io.Writer, page levels) {
	if len(page.Stock) == 0 {
		fmt.Fprintln(out, "No skus.")
	} else {
		rows := [][]string{{"SKU", "ON HAND", "RESERVED", "RECEIVED", "CHANGED (UTC)"}}
		for _, l := range page.Stock {
			rows = append(rows, []string{l.SKU, number(l.OnHand), number(l.Reserved), number(l.Received), at(l.UpdatedAt)})
		}
		terminal.Table(out, rows, "")
	}
	more(out, page.Next)
}

func printShown(out io.Writer, v shown) {
	terminal.Table(out, [][]string{
		{"Sku", v.SKU},
		{"On hand", number(v.OnHand)},
		{"Reserved", number(v.Reserved)},
		{"Received", number(v.Received)},
		{"Changed", at(v.UpdatedAt) + " UTC"},
		{"To set", "--if-match=" + strings.Trim(v.ETag, `"`) + ", refused if anything changed since, orders included"},
		{"To count or move", "--if-match=" + strings.Trim(v.MovementsETag, `"`) + ", refused if another operator changed it since"},
	}, "")
}

func printChanged(out io.Writer, c httpapi.Changed) {
	m := c.Movement
	terminal.Fprintf(out, "%s: %d on hand (%+d), %d reserved. Movement %d, by %s.\n", c.SKU, c.OnHand, m.Delta, c.Reserved, m.ID, m.Actor)
}

type movements struct {
	Movements []httpapi.Movement
	Next      string
}

func printMovements(out io.Writer, page movements) {
	if len(page.Movements) == 0 {
		fmt.Fprintln(out, "No movements.")
	} else {
		rows := [][]string{{"ID", "AT (UTC)", "WHAT", "BY", "BEFORE", "AFTER", "RESERVED", "WHO", "FROM", "WHY"}}
		for _, m := range page.Movements {
			rows = append(rows, []string{
				number(m.ID), at(m.At), m.Kind, fmt.Sprintf("%+d", m.Delta), number(m.Before), number(m.After), number(m.Reserved),
				m.Actor, m.Client, m.Reason,
			})
		}
		terminal.Table(out, rows, "")
	}
	more(out, page.Next)
}

type holders struct {
	Reservations []httpapi.Holder
	Next         string
}

func printHolders(out io.Writer, page holders) {
	if len(page.Reservations) == 0 {
		fmt.Fprintln(out, "No reservations on this page.")
	} else {
		rows := [][]string{{"ORDER", "HOLDS", "SINCE (UTC)"}}
		for _, h := range page.Reservations {
			rows = append(rows, []string{number(h.OrderID), number(int64(h.Quantity)), at(h.Since)})
		}
		terminal.Table(out, rows, "")
	}
	more(out, page.Next)
}

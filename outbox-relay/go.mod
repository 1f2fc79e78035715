module waybill/outbox-relay

go 1.26

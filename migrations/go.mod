module waybill/migrations

go 1.26.0

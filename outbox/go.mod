module waybill/outbox

go 1.26.0

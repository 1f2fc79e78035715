module waybill/orders

go 1.26.0

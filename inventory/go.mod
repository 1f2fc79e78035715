module waybill/inventory

go 1.26.0

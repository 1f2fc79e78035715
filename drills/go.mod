module waybill/drills

go 1.26.0

module waybill/orchestrator

go 1.26

module waybill/orchestrator

go 1.26.0

require (
	github.com/google/uuid v1.6.0
	github.com/stretchr/testify v1.12.1
	waybill/contracts v0.0.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace waybill/contracts => ../contracts

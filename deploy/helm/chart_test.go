package helm_test

import (
	"testing"

	_ "github.com/stretchr/testify/require"
	_ "github.com/yannh/kubeconform/pkg/validator"
	_ "helm.sh/helm/v4/pkg/chart/common"
	_ "helm.sh/helm/v4/pkg/chart/common/util"
	_ "helm.sh/helm/v4/pkg/chart/v2/lint"
	_ "helm.sh/helm/v4/pkg/chart/v2/loader"
	_ "helm.sh/helm/v4/pkg/engine"
)

func TestX(t *testing.T) {}

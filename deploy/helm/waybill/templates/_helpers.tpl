{{/* The four services: their values, their port, and what else they listen on. */}}
{{- define "waybill.components" -}}
orders: { values: orders, port: 8080, grpc: 0 }
inventory: { values: inventory, port: 8081, grpc: 9081 }
orchestrator: { values: orchestrator, port: 8082, grpc: 0 }
outbox-relay: { values: relay, port: 8083, grpc: 0 }
{{- end }}

{{- define "waybill.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Takes (dict "root" $ "component" name). */}}
{{- define "waybill.selector" -}}
app.kubernetes.io/name: waybill
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "waybill.labels" -}}
{{ include "waybill.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Takes (dict "root" $ "component" name). */}}
{{- define "waybill.image" -}}
{{- $image := printf "%s/%s" (required "image.repository: where the images are, such as ghcr.io/you/waybill" .root.Values.image.repository) .component -}}
{{- with index .root.Values.image.digests .component }}{{ $image }}@{{ . }}{{ else }}{{ $image }}:{{ $.root.Values.image.tag | default $.root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "waybill.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "waybill.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "waybill.probe" -}}
{ path: {{ . }}, port: http, httpHeaders: [{ name: Host, value: localhost }] }
{{- end }}

{{/* The keys of a service's Secret that are used, takes (dict "root" $ "values" values): without SASL, none of it. */}}
{{- define "waybill.secretKeys" -}}
{{- $sasl := hasPrefix "SASL_" .root.Values.kafka.securityProtocol -}}
keys:
{{- range .values.secretKeys }}
{{- if or $sasl (not (has . (list "KAFKA_SASL_PASSWORD" "RELAY_KAFKA_LOGINS"))) }}
  - {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The settings of a service: those that follow from the chart, then the secrets as files, then yours. */}}
{{- define "waybill.env" -}}
{{- $full := include "waybill.fullname" .root -}}
- { name: HTTP_ADDR, value: "0.0.0.0:{{ .settings.port }}" }
- { name: HTTP_DRAIN_DELAY, value: {{ printf "%ds" (int .root.Values.drainDelaySeconds) }} }
- { name: LOG_FORMAT, value: json }
{{- with .settings.grpc }}
- { name: GRPC_ADDR, value: "0.0.0.0:{{ . }}" }
{{- end }}
- { name: KAFKA_BROKERS, value: {{ required "kafka.brokers: host:port,host:port" .root.Values.kafka.brokers | quote }} }
- { name: KAFKA_SECURITY_PROTOCOL, value: {{ .root.Values.kafka.securityProtocol }} }
{{- if hasPrefix "SASL_" .root.Values.kafka.securityProtocol }}
- { name: KAFKA_SASL_MECHANISM, value: {{ .root.Values.kafka.saslMechanism }} }
{{- with .values.kafkaUsername }}
- { name: KAFKA_SASL_USERNAME, value: {{ . | quote }} }
{{- end }}
{{- end }}
{{- if or .root.Values.kafka.ca.secret .root.Values.kafka.ca.configMap }}
- { name: KAFKA_SSL_CA_LOCATION, value: /etc/waybill/kafka/ca.crt }
{{- end }}
{{- if eq .component "orchestrator" }}
- { name: ORDERS_URL, value: "http://{{ $full }}-orders:8080" }
- { name: INVENTORY_URL, value: "http://{{ $full }}-inventory:8081" }
- { name: RELAY_URL, value: "http://{{ $full }}-outbox-relay:8083" }
{{- end }}
{{- with get .values "topics" }}
{{- $pairs := list }}
{{- range $database, $topics := . }}
{{- $pairs = append $pairs (printf "%s=%s" $database (join "|" $topics)) }}
{{- end }}
- { name: RELAY_TOPICS, value: {{ join "," $pairs | quote }} }
{{- end }}
{{- range (include "waybill.secretKeys" . | fromYaml).keys }}
- { name: {{ . }}_FILE, value: /etc/waybill/secrets/{{ . }} }
{{- end }}
{{- if .root.Values.payloads.masks.configMap }}
- { name: PAYLOAD_MASKS, value: /etc/waybill/masks/masks.json }
{{- end }}
{{- if ne .component "outbox-relay" }}
{{- if .root.Values.payloads.keyring.secret }}
- { name: PAYLOAD_KEYRING, value: /etc/waybill/payloads/keyring.json }
{{- end }}
{{- $shard := get .root.Values "shard" }}
{{- if not (or (kindIs "invalid" $shard) (kindIs "string" $shard)) }}
- { name: ORDER_SHARD, value: {{ $shard | int | quote }} }
{{- end }}
{{- range $key, $value := .root.Values.payloads.env }}
- { name: {{ $key }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}
{{- range $key, $value := .values.env }}
- { name: {{ $key }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

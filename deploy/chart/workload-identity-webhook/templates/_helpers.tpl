{{- define "webhook.labels" -}}
azure-workload-identity.io/system: "true"
app: workload-identity-webhook
chart: {{ .Chart.Name }}
release: {{ .Release.Name }}
{{- end }}

{{- define "webhook.selector" -}}
azure-workload-identity.io/system: "true"
app: workload-identity-webhook
chart: {{ .Chart.Name }}
release: {{ .Release.Name }}
{{- end }}

{{- define "webhook.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.release | default .Chart.AppVersion }}
{{- end }}

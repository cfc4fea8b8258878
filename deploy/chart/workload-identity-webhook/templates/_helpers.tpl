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
{{ include "webhook.onRegistry" (list . (printf "%s:%v" .Values.image.repository (.Values.image.release | default .Chart.AppVersion))) }}
{{- end }}

{{- /* An image's name with global.imageRegistry in place of its own registry. */}}
{{- define "webhook.onRegistry" -}}
{{- $image := index . 1 }}
{{- with ((index . 0).Values.global).imageRegistry }}
{{- trimSuffix "/" . }}/{{ regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $image "" }}
{{- else }}
{{- $image }}
{{- end }}
{{- end }}

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

{{- /* Seconds of drainDelay, rounded up. */}}
{{- define "webhook.drain" -}}
{{- $n := regexFind "^[0-9]+" .Values.drainDelay | int }}
{{- if hasSuffix "ms" .Values.drainDelay }}{{ div (add $n 999) 1000 }}
{{- else if hasSuffix "m" .Values.drainDelay }}{{ mul 60 $n }}
{{- else }}{{ $n }}
{{- end }}
{{- end }}

{{- /* Seconds from the signal to the kill: after the drain, the last review may take as
       long as the API server waits for it, and leaving takes a moment. */}}
{{- define "webhook.grace" -}}
{{ max 30 (add 20 (include "webhook.drain" . | int) (int .Values.timeoutSeconds)) }}
{{- end }}

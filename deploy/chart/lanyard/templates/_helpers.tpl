{{- define "lanyard.labels" -}}
{{ include "lanyard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lanyard.selector" -}}
app.kubernetes.io/name: lanyard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lanyard.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "lanyard.address" -}}
{{ .Values.address | default (printf "%s.svc.%s" .Release.Namespace .Values.clusterDomain) }}
{{- end }}

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
{{ include "lanyard.onRegistry" (list . (printf "%s:%v" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion))) }}
{{- end }}

{{- /* An image's name with global.imageRegistry in place of its own registry. */}}
{{- define "lanyard.onRegistry" -}}
{{- $image := index . 1 }}
{{- with ((index . 0).Values.global).imageRegistry }}
{{- trimSuffix "/" . }}/{{ regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $image "" }}
{{- else }}
{{- $image }}
{{- end }}
{{- end }}

{{- /* Seconds from the signal to the kill: what is under way has 55 after the drain. */}}
{{- define "lanyard.grace" -}}
{{- $n := regexFind "^[0-9]+" .Values.drain | int }}
{{- if hasSuffix "ms" .Values.drain }}{{ add 55 (div (add $n 999) 1000) }}
{{- else if hasSuffix "m" .Values.drain }}{{ add 55 (mul 60 $n) }}
{{- else }}{{ add 55 $n }}
{{- end }}
{{- end }}

{{- /* The port of the webhook's listener, however it was asked for; or nothing. */}}
{{- define "lanyard.webhookPort" -}}
{{- if .Values.webhookPort }}{{ .Values.webhookPort }}
{{- else }}{{ regexFind "--webhook[= ][^ ]*:[0-9]+" (join " " .Values.extraArgs) | regexFind "[0-9]+$" }}
{{- end }}
{{- end }}

{{- define "lanyard.etcdPorts" -}}
{{- $ports := list }}
{{- range .Values.etcd.endpoints }}
{{- $ports = append $ports (regexFind ":[0-9]+/?$" . | default ":443" | trimAll ":/") }}
{{- end }}
{{- range .Values.networkPolicy.egress.ports }}{{ $ports = without $ports (toString .) }}{{ end }}
{{- join " " (uniq $ports) }}
{{- end }}

{{- /* Pods, and every address but those that only a machine's own programs should ask. */}}
{{- define "lanyard.outside" -}}
- namespaceSelector: {}
{{- $four := list }}{{ $six := list }}
{{- range .except }}
{{- if contains ":" . }}{{ $six = append $six . }}{{ else }}{{ $four = append $four . }}{{ end }}
{{- end }}
- ipBlock:
    cidr: 0.0.0.0/0
    {{- with $four }}
    except: {{- toYaml . | nindent 6 }}
    {{- end }}
- ipBlock:
    cidr: ::/0
    {{- with $six }}
    except: {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}

{{- define "lanyard.address" -}}
{{ .Values.address | default (printf "%s.svc.%s" .Release.Namespace .Values.clusterDomain) }}
{{- end }}

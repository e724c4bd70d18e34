{{- define "skipjack.name" -}}
{{- if eq .Release.Name .Chart.Name }}{{ .Chart.Name }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "skipjack.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "skipjack.labels" -}}
{{ include "skipjack.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "skipjack.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "skipjack.name" .) .Values.serviceAccount.name }}{{ else }}{{ required "serviceAccount.name: name the ServiceAccount to use" .Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{- define "skipjack.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ .image.tag | default .version }}{{ end -}}
{{- end }}

{{- define "skipjack.jobRules" -}}
- apiGroups: [skipjack.dev]
  resources: [finetunejobs]
  verbs: [get, list, watch]
- apiGroups: [skipjack.dev]
  resources: [finetunejobs/status]
  verbs: [patch]
# OpenShift asks for it of whoever sets blockOwnerDeletion.
- apiGroups: [skipjack.dev]
  resources: [finetunejobs/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
# Listed too: the Job controller tells by Events alone why it can't create a pod (quota, admission).
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, list]
{{- end }}

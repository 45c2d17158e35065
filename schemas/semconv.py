"""Which attributes earn columns of their own, under which names, older names included.

In: nothing. Out: tables of names. Source: OpenTelemetry semantic conventions 1.38 (names and the deprecations they list).
"""

from dataclasses import dataclass

import pyarrow as pa

from tracebraid.schemas.table import INT32, STRING, Column


@dataclass(frozen=True, slots=True)
class Promoted:
    """An attribute with a column. `names`: the attribute's names, the present one first; the first that a row has fills the column."""

    column: str
    names: tuple[str, ...]
    comment: str
    type: pa.DataType = STRING

    @property
    def as_column(self) -> Column:
        return Column(self.column, self.type, f"{self.comment} Attribute {' or '.join(self.names)}.")


RESOURCE = (
    Promoted("service_name", ("service.name",), "Name of the service."),
    Promoted("service_namespace", ("service.namespace",), "Namespace of the service."),
    Promoted("service_version", ("service.version",), "Version of the service."),
    Promoted("service_instance_id", ("service.instance.id",), "Instance of the service."),
    Promoted("host_name", ("host.name",), "Name of the host."),
    Promoted("deployment_environment_name", ("deployment.environment.name", "deployment.environment"), "Deployment environment."),
    Promoted("k8s_cluster_name", ("k8s.cluster.name",), "Kubernetes cluster."),
    Promoted("k8s_namespace_name", ("k8s.namespace.name",), "Kubernetes namespace."),
    Promoted("k8s_pod_name", ("k8s.pod.name",), "Kubernetes pod."),
    Promoted("container_name", ("container.name", "k8s.container.name"), "Container."),
    Promoted("cloud_region", ("cloud.region",), "Cloud region."),
)
SPAN = (
    Promoted("http_request_method", ("http.request.method", "http.method"), "HTTP method."),
    Promoted("http_route", ("http.route",), "Route pattern that matched."),
    Promoted("http_response_status_code", ("http.response.status_code", "http.status_code"), "HTTP status code.", INT32),
    Promoted("url_path", ("url.path", "http.target"), "Path of the URL."),
    Promoted("server_address", ("server.address", "net.peer.name", "net.host.name", "http.host"), "Server's address."),
    Promoted("rpc_system", ("rpc.system", "rpc.system.name"), "RPC system."),
    Promoted("rpc_service", ("rpc.service",), "RPC service."),
    Promoted("rpc_method", ("rpc.method",), "RPC method."),
    Promoted("db_system_name", ("db.system.name", "db.system"), "Database system."),
    Promoted("db_operation_name", ("db.operation.name", "db.operation"), "Database operation."),
    Promoted("messaging_system", ("messaging.system",), "Messaging system."),
    Promoted("messaging_destination_name", ("messaging.destination.name", "messaging.destination"), "Messaging destination."),
    Promoted("feature_flag_key", ("feature_flag.key",), "Feature flag's key."),
    Promoted("feature_flag_result_variant", ("feature_flag.result.variant", "feature_flag.variant"), "Feature flag's variant."),
    Promoted("gen_ai_request_model", ("gen_ai.request.model",), "Model asked of a generative AI system."),
    Promoted("error_type", ("error.type",), "Class of the error."),
)
# Attributes of log records by the exception conventions; they fill the log columns of the same names.
EXCEPTION = (
    Promoted("exception_type", ("exception.type",), "Class of the exception."),
    Promoted("exception_message", ("exception.message",), "Message of the exception."),
    Promoted("exception_stacktrace", ("exception.stacktrace",), "Stack trace."),
)
SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUS_CODES = ("UNSET", "OK", "ERROR")

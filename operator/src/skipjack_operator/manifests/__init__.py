"""What an attempt is made of on the cluster. Pure: values in, manifests out."""

from .job import attempt_name, job_manifest
from .pod import PodEnvironment
from .service import service_manifest
from .uris import claims_of

__all__ = ["PodEnvironment", "attempt_name", "claims_of", "job_manifest", "service_manifest"]

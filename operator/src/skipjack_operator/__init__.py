"""The operator: watch, observe, decide, perform; and its edges to the cluster and to the trainers."""

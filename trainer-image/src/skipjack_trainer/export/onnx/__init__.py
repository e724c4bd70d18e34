"""A model as a graph that ONNX Runtime runs."""

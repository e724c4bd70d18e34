"""Diffusion models: what a pipeline's folder holds, how it is loaded, taught and asked. diffusers is imported where it is used."""

"""Layers that compute what the stock ones do, in less time and memory. Parameters stay where PEFT and transformers have them."""

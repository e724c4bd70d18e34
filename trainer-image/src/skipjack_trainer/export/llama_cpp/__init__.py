"""A model in llama.cpp's file format, GGUF: what each family is called there, its vocabulary, and llama.cpp itself to read it back."""

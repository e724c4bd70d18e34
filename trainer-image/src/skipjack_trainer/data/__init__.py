"""From files to examples: read, recognise, check every row, render, tokenise, pack. Nothing here imports torch."""

"""What held-out rows are judged by. Libraries are imported when they are used."""

"""What a run leaves behind: the weights, and the story of how they came about."""

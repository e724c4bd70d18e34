"""The main job, watched: install, train the example, show the result."""

"""Work on many machines through Ray: tasks, and streams of patterns; needs the extra `cluster`."""

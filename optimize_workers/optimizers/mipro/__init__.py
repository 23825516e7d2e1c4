"""MIPROv2: searches instructions and demonstrations jointly."""

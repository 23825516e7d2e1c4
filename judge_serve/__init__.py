"""Judge and serve, from the ground up.

What a judge is (`judging`), which models there are (`catalogue`), how one is asked (`engines`), and the endpoint that
hosts a judge (`serving`).
"""
